"""An image between two steps, as bytes and back; what was damaged, or hangs on what has changed, is not taken up."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

import numpy as np

from safelight_server.arrays import Array
from safelight_server.diffusion.state import State
from safelight_server.samplers.noise_levels import Level


class Checkpoint(NamedTuple):
    """An image after `done` of its steps, in all segments: where it stands in segment number `segment`."""

    image: int
    done: int
    segment: int
    state: State
    denoised: Array  # x0 after the last step
    level: Level  # of the state's latents
    way: str  # the fingerprint of the segment

    def to_bytes(self) -> bytes:
        """The DeepCache features are left out: a checkpoint is made where the next step does without them."""
        arrays = {"latents": self.state.latents, "previous": self.state.previous, "denoised": self.denoised}
        there = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items() if array is not None}
        head = {
            "segment": self.segment,
            "step": self.state.step,
            "position": self.state.position,
            "level": self.level,
            "way": self.way,
            "shapes": {name: array.shape for name, array in there.items()},
        }
        return json.dumps(head).encode() + b"\n" + b"".join(array.tobytes() for array in there.values())

    @staticmethod
    def from_bytes(image: int, done: int, data: bytes) -> Checkpoint:
        line, _, rest = data.partition(b"\n")
        head, place = json.loads(line), 0
        arrays: dict[str, Any] = {"previous": None}
        for name, shape in head["shapes"].items():
            count = int(np.prod(shape))
            arrays[name] = np.frombuffer(rest, np.float32, count, place).reshape(shape).copy()
            place += 4 * count
        state = State(head["step"], arrays["latents"], arrays["previous"], head["position"])
        return Checkpoint(image, done, head["segment"], state, arrays["denoised"], Level(*head["level"]), head["way"])


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
