"""Trains the demo models stage by stage and exports them; each stage goes on where it was stopped."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from . import base, card, dataset, export, icons, prompts, refiner, shipped, text, tiny, vae, vega
from .captions import COLOURS
from .diffusion import Batches
from .work import Work

STAGES = ("vae", "text", "base", "refiner", "vega", "lcm", "decoder", "tiny", "export")
MODEL_OF = {"refiner": "demo-refiner", "vega": "demo-vega", "lcm": "demo-vega", "decoder": "demo-xl", "tiny": "demo-xl"}


def main() -> None:
    arguments = parser().parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    work = Work(arguments.work, arguments.quick)
    for stage in arguments.shipped:
        shipped.restore(work, stage, export.TARGET)
    train(work, STAGES[: STAGES.index(arguments.until) + 1], arguments.models, arguments.target)


def train(work: Work, stages: Sequence[str], models: Sequence[str], target: Path) -> None:
    """The stages that these models need, in order, and their export; the models that are not named stay as they are."""
    wanted = {stage for stage in stages if MODEL_OF.get(stage, models[0]) in models}
    pictures = icons.load(work)
    autoencoder = vae.train(work, pictures)
    data = dataset.load(work, pictures, autoencoder)
    unets, decoder = {}, None
    if "text" in wanted:
        tokenizers, encoders = text.train(work, data, autoencoder)
        batches = Batches(data, prompts.load(work, data, tokenizers, encoders))
    if "base" in wanted:
        base_unet = base.train(work, batches, autoencoder)
    if "demo-xl" in models:
        unets["demo-xl"] = base_unet
    if "refiner" in wanted:
        unets["demo-refiner"] = refiner.train(work, base_unet, batches, autoencoder)
    if "vega" in wanted:
        small = vega.distil(work, base_unet, batches, autoencoder)
    if "lcm" in wanted:
        unets["demo-vega"] = vega.lcm(work, small, batches, autoencoder)
    if "decoder" in wanted:
        autoencoder = vae.finish_decoder(work, autoencoder, pictures)
    if "tiny" in wanted:
        decoder = tiny.train(work, data, pictures)
    if "export" in wanted:
        trained = export.Trained(autoencoder, tokenizers, encoders, unets, decoder)
        export.run(work, trained, batches, tiny.latent_rgb(data, pictures), target)
        card.write(target, work, list(STAGES[:-1]), len(pictures.names), len(COLOURS))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="train_demo", description=__doc__)
    add = top.add_argument
    add("--work", type=Path, default=Path(".train"), help="checkpoints, loss curves and sample sheets (%(default)s)")
    add("--until", choices=STAGES, default=STAGES[-1], help="stop after this stage (%(default)s)")
    add(
        "--models",
        nargs="+",
        choices=export.DEFAULTS,
        default=list(export.DEFAULTS),
        metavar="MODEL",
        help="which to make, the others stay as they ship: %(choices)s (all)",
    )
    add("--target", type=Path, default=export.TARGET, help="where the exported folders go (%(default)s)")
    add(
        "--shipped",
        nargs="+",
        choices=shipped.GRAPHS,
        default=[],
        metavar="STAGE",
        help=f"take the weights that ship instead of training these stages: {', '.join(shipped.GRAPHS)}",
    )
    add("--quick", action="store_true", help="a few icons and steps, to see that every stage runs")
    return top


if __name__ == "__main__":
    main()
