"""Trains the demo models stage by stage and exports them; each stage goes on where it was stopped."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import base, card, dataset, export, icons, prompts, refiner, shipped, text, tiny, vae, vega
from .captions import COLOURS
from .diffusion import Batches
from .work import Work

STAGES = ("vae", "text", "base", "refiner", "vega", "lcm", "decoder", "tiny", "export")


def main() -> None:
    arguments = parser().parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    work = Work(arguments.work, arguments.quick)
    for stage in arguments.shipped:
        shipped.restore(work, stage, export.TARGET)
    train(work, arguments.until, arguments.target)


def train(work: Work, until: str, target: Path) -> None:
    stages = STAGES[: STAGES.index(until) + 1]
    pictures = icons.load(work)
    autoencoder = vae.train(work, pictures)
    data = dataset.load(work, pictures, autoencoder)
    unets = {}
    if "text" in stages:
        tokenizers, encoders = text.train(work, data, autoencoder)
        batches = Batches(data, prompts.load(work, data, tokenizers, encoders))
    if "base" in stages:
        unets["demo-xl"] = base.train(work, batches, autoencoder)
    if "refiner" in stages:
        unets["demo-refiner"] = refiner.train(work, unets["demo-xl"], batches, autoencoder)
    if "vega" in stages:
        small = vega.distil(work, unets["demo-xl"], batches, autoencoder)
    if "lcm" in stages:
        unets["demo-vega"] = vega.lcm(work, small, batches, autoencoder)
    if "decoder" in stages:
        autoencoder = vae.finish_decoder(work, autoencoder, pictures)
    if "tiny" in stages:
        decoder = tiny.train(work, data, pictures)
    if "export" in stages:
        trained = export.Trained(autoencoder, tokenizers, encoders, unets, decoder)
        export.run(work, trained, batches, tiny.latent_rgb(data, pictures), target)
        card.write(target, work, list(STAGES[:-1]), len(pictures.names), len(COLOURS))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="train_demo", description=__doc__)
    add = top.add_argument
    add("--work", type=Path, default=Path(".train"), help="checkpoints, loss curves and sample sheets (%(default)s)")
    add("--until", choices=STAGES, default=STAGES[-1], help="stop after this stage (%(default)s)")
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
