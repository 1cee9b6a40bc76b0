"""The demo models that ship with the server: small ones of SDXL's kind, trained by this project."""

from pathlib import Path

FOLDERS = {name: Path(__file__).parent / name for name in ("demo-xl", "demo-vega", "demo-refiner")}
