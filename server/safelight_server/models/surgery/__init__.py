"""Changes to a graph, once it is read, that let OpenVINO calculate the same in less time."""
