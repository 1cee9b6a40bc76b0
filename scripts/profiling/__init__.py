"""Where OpenVINO leaves time: a model's networks by kind of operation, beside what this processor can do at most."""
