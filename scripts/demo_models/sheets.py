"""Sheets of sample pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw


def save(path: Path, rows: Sequence[torch.Tensor], title: str = "") -> None:
    """Each row a tensor (pictures, 3, height, width) in [-1, 1]; `title` above."""
    band = 16 if title else 0
    lines = [torch.cat(list(row.detach().float().cpu()), dim=2) for row in rows]
    pixels = ((torch.cat(lines, dim=1).clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous()
    sheet = Image.new("RGB", (pixels.shape[1], pixels.shape[0] + band), "white")
    sheet.paste(Image.fromarray(pixels.numpy()), (0, band))
    ImageDraw.Draw(sheet).text((4, 2), title, fill="black")
    sheet.save(path)
