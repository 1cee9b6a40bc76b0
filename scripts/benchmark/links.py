"""Folders whose files are links to another's, and the scheduler that a folder's index names."""

from __future__ import annotations

import json
from pathlib import Path

from safelight_server.model_folder import json_file


def link(source: Path, target: Path) -> None:
    """Makes the folder `target`, with a link to each file of `source`."""
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).symlink_to(file.resolve())


def name_scheduler(folder: Path) -> None:
    """Gives the index of a folder the class of the scheduler that lies in it: diffusers takes it from the index."""
    index = folder / "model_index.json"
    _, values = json_file.read(index)
    _, configuration = json_file.read(folder / "scheduler" / "scheduler_config.json")
    values["scheduler"] = ["diffusers", configuration["_class_name"]]
    index.write_text(json.dumps(values, indent=2), encoding="utf-8")
