"""The pictures of the training: an icon on a colour; small or whole, cut and blurred as SDXL's sizes say."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from .captions import COLOURS
from .icons import SIZE, SMALL, Icons


@dataclass(frozen=True)
class Scene:
    """What one picture shows. `original` (height, width) and `crop` (top, left) condition the UNet, as in SDXL."""

    icon: int
    colour: str
    small: bool = False
    original: tuple[int, int] = (SIZE, SIZE)
    crop: tuple[int, int] = (0, 0)

    def time_ids(self) -> list[float]:
        return [*self.original, *self.crop, SIZE, SIZE]


def draw(icons: Icons, scene: Scene) -> torch.Tensor:
    """The picture, float32 (3, SIZE, SIZE) in [-1, 1]. A crop moves the icon up and left; a small original blurs."""
    source = icons.small if scene.small else icons.full
    canvas = np.zeros((4, 2 * SIZE, 2 * SIZE), np.float32)
    start = (SIZE - SMALL) // 2 if scene.small else 0
    edge = source.shape[-1]
    canvas[:, start : start + edge, start : start + edge] = source[scene.icon] / np.float32(255)
    top, left = scene.crop
    cut = canvas[:, top : top + SIZE, left : left + SIZE]
    colour = np.array(COLOURS[scene.colour], np.float32).reshape(3, 1, 1) / 255
    picture = torch.from_numpy((cut[:3] + colour * (1 - cut[3:])) * 2 - 1)
    return blur(picture, scene.original)


def blur(picture: torch.Tensor, original: tuple[int, int]) -> torch.Tensor:
    """The picture as it looks when its original had only so many pixels."""
    if min(original) >= SIZE:
        return picture
    low = F.interpolate(picture[None], tuple(min(SIZE, edge) for edge in original), mode="bilinear", antialias=True)
    return F.interpolate(low, (SIZE, SIZE), mode="bicubic")[0].clamp(-1, 1)


def vary(icon: int, colour: str, choice: random.Random) -> Scene:
    """A scene that is not plain: small, cut or from a small original, by lot."""
    variation = choice.random()
    if variation < 0.35:
        return Scene(icon, colour, small=True)
    if variation < 0.7:
        return Scene(
            icon, colour, crop=(choice.choice((0, choice.randint(1, 64))), choice.choice((0, choice.randint(1, 64))))
        )
    edge = choice.randint(16, 96)
    return Scene(icon, colour, original=(edge, edge))
