"""Which files of a model folder are read, and where a folder that the hub's cache holds keeps them."""

from __future__ import annotations

import re
from pathlib import Path

NETWORKS = ("text_encoder", "text_encoder_2", "unet", "vae_encoder", "vae_decoder", "vae_tiny_decoder")
READ = re.compile(
    rf"scheduler|tokenizer(_2)?|{'|'.join(NETWORKS)}"  # the folders: one that is a link is not the one that was sealed
    rf"|model_index\.json|safelight\.json|scheduler/scheduler_config\.json"
    rf"|({'|'.join(NETWORKS)})/(config\.json|openvino_model\.(xml|bin))"
    r"|tokenizer(_2)?/(tokenizer\.json|tokenizer_config\.json|vocab\.json|merges\.txt)"
)


def is_read(path: str) -> bool:
    """Whether the server reads a file or a folder of this path, if it is there: what it does not, may be added."""
    return READ.fullmatch(path) is not None


def blob(path: Path, folder: Path) -> Path | None:
    """The file that a link leads to, where `folder` is a snapshot in the hub's cache: REPOSITORY/snapshots/REVISION.

    Its files are links into REPOSITORY/blobs. None for any other link: what it leads to is not part of the folder.
    """
    snapshots = folder.resolve().parent
    target = path.resolve()
    is_one = snapshots.name == "snapshots" and target.parent == snapshots.parent / "blobs" and target.is_file()
    return target if is_one else None
