"""A gRPC server that draws with SDXL and Segmind Vega on OpenVINO."""

import sys

__version__ = "0.1.0"

# OpenVINO and NNCF report each use to an analytics host, and write an id into the home folder. They have no option for
# it, but do without where this package is not installed. So it is not there for them, in every process of ours.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
