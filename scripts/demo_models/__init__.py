"""Trains and exports the demo models that ship with the server: small ones of SDXL's kind, that draw emoji."""
