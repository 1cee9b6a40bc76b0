"""From a checkpoint to a folder that the server runs; needs the extra [export], and nothing else here imports it."""
