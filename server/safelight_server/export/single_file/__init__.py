"""Checkpoints in one file, as the original code names its weights: sd_xl_base_1.0.safetensors, and those of Civitai.

Nothing but the weights is in such a file. What the diffusers layout has besides is told by names, shapes and marks.
"""

from .description import Description, describe, vae_config
from .reading import digests, shapes, weights

__all__ = ["Description", "describe", "digests", "shapes", "vae_config", "weights"]
