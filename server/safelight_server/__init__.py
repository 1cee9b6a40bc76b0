"""A gRPC server that draws with SDXL and Segmind Vega on OpenVINO."""

__version__ = "0.1.0"
