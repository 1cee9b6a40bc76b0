"""What each part of B does by itself: pictures of A with that one part of B in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.model_folder.model_config import ModelConfig

from .quality import psnr, ssim
from .runs import Asked, Pair, paint, prepare

# A part, the fields of Networks that are its own, and the graphs that they are made of.
PARTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "text": (("encoders",), ("text_encoder", "text_encoder_2")),
    "unet": (("unet", "shallow_unet"), ("unet",)),
    "vae": (("vae_decoder",), ("vae_decoder",)),
}


class Likeness(NamedTuple):
    """How far pictures with one part of B are from A's, one figure a picture."""

    psnr: list[float]
    ssim: list[float]


def changed(a: ModelConfig, b: ModelConfig) -> list[str]:
    """The parts that B does not read from the very files that A reads."""
    return [part for part, (_, graphs) in PARTS.items() if _files(a, graphs) != _files(b, graphs)]


async def draw(
    both: tuple[Pipeline, Pipeline], asked: Asked, pairs: Sequence[Pair], on_step: Callable[[], object]
) -> dict[str, Likeness]:
    """Draws A's pictures once more with each part of B that is another one."""
    a, b = both
    found = {}
    for part in changed(a.config, b.config):
        own = {field: getattr(b.networks, field) for field in PARTS[part][0]}
        mixed = Pipeline(a.info, a.lane, a.networks._replace(**own), a.latent_rgb)
        likeness = found[part] = Likeness([], [])
        for pair in pairs:
            drawn = await paint(await prepare(mixed, asked, pair.prompt), pair.seed, on_step)
            likeness.psnr.append(psnr(pair.a, drawn.picture))
            likeness.ssim.append(ssim(pair.a, drawn.picture))
    return found


def _files(config: ModelConfig, graphs: Sequence[str]) -> list[Path]:
    return [config.graph(graph).resolve() for graph in graphs]
