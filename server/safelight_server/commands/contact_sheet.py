"""Draws a prompt in every way that the demo models know, and lays the previews of each out in a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from safelight import Client, Done, Preview, Previews, Progress, Refiner
from tqdm import tqdm

EDGE, GAP, TITLE = 128, 8, 24  # pixels
SHOWN = 6  # previews in a row, before the finished picture


@dataclass(frozen=True)
class Row:
    """A way of drawing: its name, and how it is asked for. `redraws`: it starts from the first row's picture."""

    title: str
    settings: dict[str, Any]
    suffix: str = ""
    redraws: bool = False


ROWS = (
    Row("demo-xl: 25 steps, Euler, guidance", {"model": "demo-xl"}),
    Row("demo-vega: 4 steps, LCM, INT8, no guidance", {"model": "demo-vega"}),
    Row("demo-xl, and demo-refiner from 0.8 on", {"model": "demo-xl", "refiner": Refiner("demo-refiner", 0.8)}),
    Row("redrawn: blue background, strength 0.8", {"model": "demo-xl", "strength": 0.8}, ", blue background", True),
)


def draw_all(client: Client, prompt: str, seed: int, folder: Path) -> tuple[Path, Path]:
    """Writes the first row's picture and the sheet of all rows into the folder. Raises SafelightError, OSError."""
    lines: list[tuple[str, list[Image.Image]]] = []
    for row in ROWS:
        settings = row.settings | ({"image": lines[0][1][-1]} if row.redraws else {})
        lines.append((row.title, draw(client, row.title, prompt + row.suffix, seed, settings)))
    picture, whole = folder / "picture.png", folder / "contact-sheet.png"
    lines[0][1][-1].save(picture)
    sheet(lines).save(whole)
    return picture, whole


def draw(client: Client, title: str, prompt: str, seed: int, settings: dict[str, Any]) -> list[Image.Image]:
    """Some of the previews, evenly picked, and the finished picture."""
    pictures: list[Image.Image] = []
    watched = Previews(max_edge=EDGE)
    with client.stream(prompt, seed=seed, previews=watched, **settings) as events, tqdm(desc=title, unit="step") as bar:
        for event in events:
            match event:
                case Progress():
                    bar.total = event.steps
                    bar.update(event.step - bar.n)
                case Preview():
                    pictures.append(event.image)
                case Done():
                    bar.refresh()
        final = events.final()
    picked = [pictures[round(at * (len(pictures) - 1) / (SHOWN - 1))] for at in range(SHOWN)]
    return [*(picked if len(pictures) > SHOWN else pictures), final.image]


def sheet(lines: list[tuple[str, list[Image.Image]]]) -> Image.Image:
    """A titled row for each way, the finished picture last and at the right."""
    height = TITLE + EDGE + GAP
    whole = Image.new("RGB", (GAP + (SHOWN + 1) * (EDGE + GAP), GAP + len(lines) * height), "white")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(14)
    for number, (title, pictures) in enumerate(lines):
        top = GAP + number * height
        pen.text((GAP, top), title, "black", font)
        for at, picture in enumerate(pictures[:-1]):
            whole.paste(picture.resize((EDGE, EDGE)), (GAP + at * (EDGE + GAP), top + TITLE))
        whole.paste(pictures[-1].resize((EDGE, EDGE)), (GAP + SHOWN * (EDGE + GAP), top + TITLE))
    return whole
