"""Safelight beside openvino-genai and optimum-intel: ten rows, on the same graphs, precision and seeds, interleaved."""
