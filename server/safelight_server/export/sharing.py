"""Finds the parts of an export that another folder has already: made of the same weights, in the same way."""

from __future__ import annotations

from safelight_server.errors import LoadError
from safelight_server.model_folder import json_file, seal
from safelight_server.model_folder.manifest import NAME

from .plan import Options


def shared(options: Options, hashes: dict[str, str], fused: frozenset[str] = frozenset()) -> dict[str, str]:
    """The parts that the folder `share_with` has as this export would make them, and that folder's name.

    `hashes`: the SHA-256 of the checkpoint's files; `fused`: the parts that LoRAs change.
    Raises LoadError for a folder that is not beside, or has no seal.
    """
    other = options.share_with
    if other is None:
        return {}
    if other.resolve().parent != options.output.resolve().parent:
        raise LoadError(f"{other}: must lie beside {options.output}, to share its parts")
    if not seal.check(other):
        raise LoadError(f"{other}: has no seal; only folders that this command exported can be shared")
    theirs = json_file.read(other / NAME)[1].get("source", {})
    if theirs.get("precision") != options.precision:
        return {}
    own = [part for part in _parts(hashes) if (other / part).is_dir() and part not in theirs.get("int8", {})]
    changed = {
        "unet",
        *fused,
        *theirs.get("fused", ()),
        *options.int8,
    }  # a UNet is never shared: it is what makes a model another one
    same = [
        part
        for part in own
        if part not in changed and _files_of(part, hashes) == _files_of(part, theirs.get("files", {}))
    ]
    return dict.fromkeys(same, other.resolve().name)


def _parts(hashes: dict[str, str]) -> list[str]:
    """The exported folders that the checkpoint's folders become."""
    parts = {name.partition("/")[0] for name in hashes} - {"scheduler"}
    return sorted((parts - {"vae"}) | {"vae_encoder", "vae_decoder"})


def _files_of(part: str, hashes: dict[str, str]) -> dict[str, str]:
    folder = "vae" if part.startswith("vae") else part
    return {name: digest for name, digest in hashes.items() if name.startswith(f"{folder}/")}
