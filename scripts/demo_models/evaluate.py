"""Measures the demo models through a running server: does it draw what was asked, and what do the cheaper ways cost?"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safelight import AsyncClient
from tqdm import tqdm

from . import icons
from .captions import COLOURS, WITH_COLOUR, article, held_out
from .icons import SIZE, Icons
from .work import Work

FIRST_SEED = 4_000_000_000  # training's seeds are small numbers
AT_ONCE = 4  # requests in flight


@dataclass(frozen=True)
class Request:
    """A picture to ask for."""

    icon: int
    name: str
    colour: str
    seed: int

    @property
    def prompt(self) -> str:
        return WITH_COLOUR[0].format(a=f"{article(self.name)} {self.name}", colour=self.colour)


@dataclass(frozen=True)
class Way:
    """One way of drawing, a row of the table."""

    label: str
    settings: dict[str, Any]


WAYS = (
    Way("demo-xl, 25 steps", {"model": "demo-xl"}),
    Way("demo-xl, 4 steps", {"model": "demo-xl", "steps": 4}),
    Way("demo-xl + refiner", {"model": "demo-xl", "refiner": "demo-refiner"}),
    Way("demo-vega INT8, 4 steps", {"model": "demo-vega"}),
    Way("demo-vega FP16, 4 steps", {"model": "demo-vega-fp16"}),
)

# How a model redraws a picture that is noised as at a handoff at 0.8: the part that the refiner is trained for.
LOW_NOISE: dict[str, Any] = {"strength": 0.2, "steps": 25, "guidance_scale": 1.0}
TAKEN_BACK = ("demo-xl", "demo-refiner")


class Judge:
    """Knows all icons on all colours, at 32x32 pixels."""

    def __init__(self, known: Icons) -> None:
        self.known = known
        self._sheets = {name: self._sheet(name) for name in COLOURS}

    def truth(self, request: Request) -> np.ndarray:
        """The picture that was asked for, float32 (SIZE, SIZE, 3), 0 to 255."""
        return self._compose(self.known.full[request.icon], request.colour)

    def nearest(self, picture: np.ndarray, colour: str) -> int:
        """Which icon on this colour is nearest, by the squared difference of 32x32 pixels."""
        distances = np.square(self._sheets[colour] - _reduce(picture).ravel()).sum(axis=1)
        return int(distances.argmin())

    def _sheet(self, colour: str) -> np.ndarray:
        return np.stack([_reduce(self._compose(icon, colour)).ravel() for icon in self.known.full])

    @staticmethod
    def _compose(icon: np.ndarray, colour: str) -> np.ndarray:
        rgba = icon.astype(np.float32).transpose(1, 2, 0)
        return rgba[..., :3] + np.array(COLOURS[colour], np.float32) * (1 - rgba[..., 3:] / 255)


def _reduce(picture: np.ndarray) -> np.ndarray:
    edge = SIZE // 32
    return picture.astype(np.float32).reshape(32, edge, 32, edge, 3).mean(axis=(1, 3))


def background(picture: np.ndarray) -> str:
    """The named colour nearest to the median of the four corners, where hardly any icon reaches."""
    corners = [
        picture[rows, columns] for rows in (slice(6), slice(-6, None)) for columns in (slice(6), slice(-6, None))
    ]
    median = np.median(np.concatenate([corner.reshape(-1, 3) for corner in corners]), axis=0)
    return min(COLOURS, key=lambda name: float(np.square(median - COLOURS[name]).sum()))


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR of 8-bit pictures."""
    return float(10 * np.log10(255**2 / max(np.square(a.astype(np.float32) - b).mean(), 1e-3)))


def shown_pairs(names: Sequence[str]) -> list[Request]:
    """Every name once, on a colour that training showed it on."""
    choice = random.Random(11)
    colours = [choice.choice([colour for colour in COLOURS if not held_out(name, colour)]) for name in names]
    return [Request(i, name, colours[i], FIRST_SEED + i) for i, name in enumerate(names)]


def unseen_pairs(names: Sequence[str]) -> list[Request]:
    """Every pair that was held out."""
    pairs = [(i, colour) for i, name in enumerate(names) for colour in COLOURS if held_out(name, colour)]
    return [Request(i, names[i], colour, FIRST_SEED + 10_000 + at) for at, (i, colour) in enumerate(pairs)]


async def take_back(client: AsyncClient, model: str, judge: Judge, wanted: Sequence[Request]) -> list[float]:
    """How near a model comes to the wanted pictures, in decibels, when it redraws these very pictures."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(request: Request) -> float:
        truth = judge.truth(request).round().astype(np.uint8)
        async with gate:
            result = await client.refine(
                Image.fromarray(truth), request.prompt, model=model, seed=request.seed, **LOW_NOISE
            )
        return decibels(np.asarray(result.image.convert("RGB")), judge.truth(request))

    return await asyncio.gather(*map(one, wanted))


async def draw(client: AsyncClient, way: Way, wanted: Sequence[Request]) -> list[np.ndarray]:
    """The pictures, uint8 (SIZE, SIZE, 3), in order."""
    gate = asyncio.Semaphore(AT_ONCE)
    bar = tqdm(total=len(wanted), desc=way.label, unit="picture")

    async def one(request: Request) -> np.ndarray:
        async with gate:
            result = await client.generate(request.prompt, seed=request.seed, **way.settings)
        bar.update()
        return np.asarray(result.image.convert("RGB"))

    with bar:
        return await asyncio.gather(*map(one, wanted))


def row(label: str, judge: Judge, wanted: Sequence[Request], pictures: Iterable[np.ndarray]) -> str:
    """A row of the table: how many pictures show the wanted icon, how many the colour, and how near all are."""
    drawn = list(zip(wanted, pictures, strict=True))
    right = [judge.nearest(picture, request.colour) == request.icon for request, picture in drawn]
    coloured = [background(picture) == request.colour for request, picture in drawn]
    near = [decibels(picture, judge.truth(request)) for request, picture in drawn]
    figures = f"{len(drawn):>6} {np.mean(right):>9.1%} {np.mean(coloured):>11.1%} {np.median(near):>8.2f} dB"
    return f"{label:<34}{figures}"


def sheet(path: Path, judge: Judge, wanted: Sequence[Request], drawn: dict[str, list[np.ndarray]], count: int) -> None:
    """A picture file: `count` wanted pictures, evenly picked, and below each what every way drew."""
    picked = [int(at) for at in np.linspace(0, len(wanted) - 1, count)]
    lines = [[judge.truth(wanted[at]).astype(np.uint8) for at in picked]]
    lines += [[pictures[at] for at in picked] for pictures in drawn.values()]
    Image.fromarray(np.concatenate([np.concatenate(line, axis=1) for line in lines])).save(path)


async def main() -> None:
    arguments = parser().parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    known = icons.load(Work(arguments.work))
    judge = Judge(known)
    shown, unseen = shown_pairs(known.names), unseen_pairs(known.names)
    step = max(1, len(shown) // arguments.pictures)
    shown, unseen = shown[::step], unseen[:: max(1, len(unseen) * step // len(known.names) or 1)]
    drawn: dict[str, list[np.ndarray]] = {}
    print(f"{'':<34}{'count':>6} {'retrieval':>9} {'background':>11} {'to the truth':>11}")
    async with AsyncClient(arguments.address) as client:
        served = {model.name for model in await client.models()}
        ways = [way for way in WAYS if way.settings["model"] in served]
        for way in ways:
            drawn[way.label] = await draw(client, way, shown)
            print(row(way.label, judge, shown, drawn[way.label]), flush=True)
        for way in ways[:1] + [way for way in ways if way.settings["model"] == "demo-vega"]:
            label = f"  held-out pairs, {way.label}"
            print(row(label, judge, unseen, await draw(client, way, unseen)), flush=True)
        for model in TAKEN_BACK:
            near = await take_back(client, model, judge, shown)
            print(f"noised to {LOW_NOISE['strength']:.0%}, taken back by {model}: {np.median(near):.2f} dB")
    for way in ways[1:]:
        pairs = zip(drawn[ways[0].label], drawn[way.label], strict=True)
        print(f"{way.label} against {ways[0].label}: {np.median([decibels(a, b) for a, b in pairs]):.2f} dB")
    labels = [way.label for way in ways if "vega" in way.label]
    if len(labels) == 2:
        pairs = zip(drawn[labels[0]], drawn[labels[1]], strict=True)
        print(f"{labels[0]} against {labels[1]}: {np.median([decibels(a, b) for a, b in pairs]):.2f} dB")
    sheet(arguments.sheet, judge, shown, drawn, 24)
    print(f"samples: {arguments.sheet} (first row: the icons themselves)")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="eval_demo", description=__doc__)
    add = top.add_argument
    add("--address", default=None, help="of the server (SAFELIGHT_ADDRESS, or localhost:50051)")
    add("--work", type=Path, default=Path(".train"), help="where the icons are kept (%(default)s)")
    add("--pictures", type=int, default=100_000, metavar="N", help="about so many for each way (all names)")
    add("--sheet", type=Path, default=Path("out/eval.png"), help="(%(default)s)")
    return top


if __name__ == "__main__":
    asyncio.run(main())
