"""The icons: Microsoft's Fluent Emoji (flat, MIT licence), fetched from npm and rendered to RGBA arrays."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import resvg_py
from PIL import Image
from tqdm import tqdm

from .work import Work

PACKAGE = "@iconify-json/fluent-emoji-flat@1.2.6"
SHA256 = "f5f4cf457c0db2ad5a2e42e033e02e0c87d10e43d0164cfffb3bb84914970a63"
CATEGORIES = ("Activities", "Animals & Nature", "Food & Drink", "Objects", "Smileys & Emotion", "Travel & Places")
SIZE = 128  # pixels of a picture's edge
SMALL = 80  # an icon's edge where the caption calls it small


@dataclass(frozen=True)
class Icons:
    """`names` as in captions; `full` and `small`: uint8 (icons, 4, edge, edge), RGB premultiplied by alpha."""

    names: list[str]
    full: np.ndarray
    small: np.ndarray


def load(work: Work) -> Icons:
    """The icons of this project's categories, rendered once into `work`."""
    kept = work / "icons.npz"
    if not kept.is_file():
        names, full, small = _render(_fetch(work), work)
        np.savez(work / "icons.partial.npz", names=names, full=full, small=small)
        (work / "icons.partial.npz").rename(kept)
    arrays = np.load(kept)
    return Icons([str(name) for name in arrays["names"]], arrays["full"], arrays["small"])


def _fetch(work: Work) -> dict[str, dict[str, Any]]:
    """The package's two JSON files, by their stems; npm knows where its registry is."""
    archive = work / "icons.tgz"
    if not archive.is_file():
        made = subprocess.run(
            ["npm", "pack", PACKAGE, "--silent"], cwd=work.folder, check=True, capture_output=True, text=True
        ).stdout.strip()
        (work / made).rename(archive)
    files = {}
    with tarfile.open(archive) as tar:
        for stem in ("icons", "metadata"):
            member = tar.extractfile(f"package/{stem}.json")
            assert member is not None
            files[stem] = member.read()
    digest = hashlib.sha256(files["icons"]).hexdigest()
    if digest != SHA256:
        raise SystemExit(f"icons.json of {PACKAGE} has SHA-256 {digest}, not {SHA256}: other pictures than those known")
    return {stem: json.loads(content) for stem, content in files.items()}


def _render(package: dict[str, dict[str, Any]], work: Work) -> tuple[list[str], np.ndarray, np.ndarray]:
    drawings, categories = package["icons"]["icons"], package["metadata"]["categories"]
    keys = [key for category in CATEGORIES for key in categories[category]]
    keys = keys[:: len(keys) // work.some(len(keys), 16)]
    bodies = [drawings[key]["body"] for key in tqdm(keys, desc="icons")]
    full, small = (np.stack([_rgba(body, edge) for body in bodies]) for edge in (SIZE, SMALL))
    return [key.replace("-", " ") for key in keys], full, small


def _rgba(body: str, edge: int) -> np.ndarray:
    """One drawing, premultiplied, as (4, edge, edge); drawn four times as large first, so that edges are smooth."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{body}</svg>'
    png = resvg_py.svg_to_bytes(svg_string=svg, width=4 * edge, height=4 * edge)
    image = (
        Image.open(io.BytesIO(bytes(png))).convert("RGBA").convert("RGBa").resize((edge, edge), Image.Resampling.BOX)
    )
    # Premultiplied pixels have no array interface of their own in Pillow.
    return np.frombuffer(image.tobytes(), np.uint8).reshape(edge, edge, 4).transpose(2, 0, 1)
