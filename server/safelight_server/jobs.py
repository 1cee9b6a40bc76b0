"""What a request becomes once it is checked: a job, frozen, with every default filled in; and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .samplers import SchedulerConfig

Array = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Hw = tuple[int, int]  # height, width: the order of arrays and of SDXL's time_ids
