"""The sheet of a comparison: what A drew, what B drew, and their difference, a column for each prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from safelight_server.arrays import Pixels
from safelight_server.diffusion.model_info import ModelInfo

from .runs import Comparison, Pair

COLUMNS = 6  # prompts beside each other; more go below
CELL, GAP, MARGIN, TITLE, HEAD, GUTTER = 256, 8, 16, 60, 62, 26  # pixels
AMPLIFIED = 4  # times the difference
PAPER, INK, FAINT, LAMP = (20, 17, 17), (236, 229, 222), (154, 142, 134), (236, 92, 64)


def sheet(comparison: Comparison) -> Image.Image:
    """The sheet as a picture. Of the pictures of each prompt it shows the one with the lowest PSNR."""
    shown = [min(_pairs_of(comparison, prompt), key=lambda pair: pair.psnr) for prompt in comparison.asked.prompts]
    bands = [shown[at : at + COLUMNS] for at in range(0, len(shown), COLUMNS)]
    width, height = _cell(comparison.job.size)
    step, band = width + GAP, HEAD + 3 * (height + GAP) + MARGIN
    # With only one or two prompts, the title needs more room than they do.
    across = max(2 * MARGIN + GUTTER + len(bands[0]) * step - GAP, 640)
    whole = Image.new("RGB", (across, MARGIN + TITLE + len(bands) * band), PAPER)
    _write_title(whole, comparison)
    for number, pairs in enumerate(bands):
        top = MARGIN + TITLE + number * band
        for row, text in enumerate((*map(_name, comparison.infos), f"difference x {AMPLIFIED}")):
            _write_sideways(whole, text, top + HEAD + row * (height + GAP), height)
        for column, pair in enumerate(pairs):
            left = MARGIN + GUTTER + column * step
            _write_head(whole, pair, left, top, width)
            for row, pixels in enumerate((pair.a, pair.b, _difference(pair))):
                whole.paste(_fit(pixels, (width, height)), (left, top + HEAD + row * (height + GAP)))
    return whole


def _pairs_of(comparison: Comparison, prompt: str) -> list[Pair]:
    return [pair for pair in comparison.pairs if pair.prompt == prompt]


def _cell(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of a picture in the sheet, its longer edge CELL."""
    scale = CELL / max(size)
    return round(size[1] * scale), round(size[0] * scale)


def _fit(pixels: Pixels, size: tuple[int, int]) -> Image.Image:
    """The picture at a size. A small one is enlarged without blurring, so that its pixels can be seen."""
    grows = size[0] >= pixels.shape[1]
    return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST if grows else Image.Resampling.LANCZOS)


def _difference(pair: Pair) -> Pixels:
    amplified: Pixels = (np.abs(pair.a.astype(np.int16) - pair.b) * AMPLIFIED).clip(0, 255).astype(np.uint8)
    return amplified


def _write_title(whole: Image.Image, comparison: Comparison) -> None:
    pen, job = ImageDraw.Draw(whole), comparison.job
    names = "     ".join(f"{_name(info)}, {info.precision}" for info in comparison.infos)
    settings = (
        f"{job.size[1]}x{job.size[0]}, {job.steps} steps, {job.scheduler.name}, guidance {job.guidance:g}"
        f"{', of each prompt the seed that differs most' if comparison.asked.seeds > 1 else ''}"
    )
    room = whole.width - 2 * MARGIN
    pen.text((MARGIN, MARGIN - 2), _cut(names, _font(20), room), LAMP, _font(20))
    pen.text((MARGIN, MARGIN + 26), _cut(settings, _font(14), room), FAINT, _font(14))


def _write_head(whole: Image.Image, pair: Pair, left: int, top: int, width: int) -> None:
    pen, lines = ImageDraw.Draw(whole), _wrap(pair.prompt, _font(14), width)
    likeness = "identical" if pair.psnr == float("inf") else f"{pair.psnr:.1f} dB, SSIM {pair.ssim:.3f}"
    # From the bottom up, so that a prompt of one line stands right above its figures.
    for up, (text, ink) in enumerate([(f"seed {pair.seed}: {likeness}", FAINT), *((x, INK) for x in lines[::-1])]):
        font = _font(14 if up else 12)
        pen.text((left, top + HEAD - 6 - up * 18), _cut(text, font, width), ink, font, anchor="ld")


def _name(info: ModelInfo) -> str:
    return f"{info.name}  {info.config.folder.resolve().name}"


def _write_sideways(whole: Image.Image, text: str, top: int, height: int) -> None:
    label = Image.new("RGB", (height, GUTTER), PAPER)
    ImageDraw.Draw(label).text((height / 2, GUTTER / 2 - 3), _cut(text, _font(14), height), INK, _font(14), "mm")
    whole.paste(label.rotate(90, expand=True), (MARGIN, top))


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> Sequence[str]:
    """The text in one or two lines. The first holds as many words as fit, the second all others."""
    words = text.split()
    for count in range(len(words), 0, -1):
        if font.getlength(" ".join(words[:count])) <= width or count == 1:
            return [" ".join(part) for part in (words[:count], words[count:]) if part]
    return []


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow's wheels have FreeType"
    return font
