"""The array types that travel between the packages."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]  # latents, features, planes
Pixels = npt.NDArray[np.uint8]  # (height, width, 3), or a mask (height, width)
Hw = tuple[int, int]  # height, width: the order of arrays and of SDXL's time_ids
