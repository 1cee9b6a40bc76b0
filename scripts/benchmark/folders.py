"""The folders of the models: as Safelight serves them, and whole copies that the peers can read."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import safelight_server
from safelight_server.model_folder import manifest

from . import weights
from .links import link, name_scheduler

DEMO = Path(safelight_server.__file__).parent / "demo"
PARTS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "vae_encoder", "vae_decoder")
# openvino-genai reads the scheduler from the folder; see cases.DEMO_SCHEDULER.
SCHEDULERS = {"demo-vega": DEMO / "demo-xl" / "scheduler"}


class Model(NamedTuple):
    """One model in two folders; the graphs of the second are links to those of the first.

    `checkpoint` has the weights that the graphs were made of, in the layout of diffusers, and `single` has them in one
    file under the names of the original code. None: they are not here.
    """

    ours: Path
    peers: Path
    checkpoint: Path | None = None
    single: Path | None = None


def find(names: Iterable[str], models: Path, cache: Path) -> dict[str, Model]:
    """The folders of these models, by name; copies for the peers are made if the cache has none."""
    ours = {name: DEMO / name if name.startswith("demo") else models / name for name in names}
    return {
        name: Model(folder, _copy(name, folder, cache), *weights.find(name, folder, models, cache))
        for name, folder in ours.items()
    }


def _copy(name: str, folder: Path, cache: Path) -> Path:
    """A folder in the diffusers layout with nothing shared, and the tokenizers that openvino-genai needs."""
    sealed = (folder / manifest.NAME).read_bytes()
    copy = cache / f"{name}-{hashlib.sha256(str(folder.resolve()).encode() + sealed).hexdigest()[:12]}"
    if copy.is_dir():
        return copy
    aside = copy.with_name(f".{copy.name}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    shared = manifest.read(folder)
    for part in PARTS:
        link(shared.part(part), aside / part)
    link(SCHEDULERS.get(name, folder / "scheduler"), aside / "scheduler")
    shutil.copyfile(folder / "model_index.json", aside / "model_index.json")
    if name in SCHEDULERS:
        name_scheduler(aside)
    for part in ("tokenizer", "tokenizer_2"):
        convert_tokenizer(aside / part)
    return aside.rename(copy)


def convert_tokenizer(folder: Path) -> None:
    """Converts a tokenizer as `optimum-cli export openvino` does it if openvino-tokenizers is installed."""
    import openvino as ov
    from openvino_tokenizers import convert_tokenizer as convert
    from transformers import AutoTokenizer

    graph = convert(AutoTokenizer.from_pretrained(folder))
    ov.save_model(graph, folder / "openvino_tokenizer.xml")
