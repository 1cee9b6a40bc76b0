"""Samples that calibration records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def recorded(folder: Path) -> list[dict[str, Any]]:
    """The inputs of one network, in the order in which they were recorded."""
    return [dict(np.load(path)) for path in sorted(folder.glob("*.npz"))]
