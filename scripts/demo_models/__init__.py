"""Trains and exports the demo models that ship with the server: small ones of SDXL's kind, that draw emoji."""

import safelight_server  # noqa: F401 - first: OpenVINO and NNCF then send no reports of their use
