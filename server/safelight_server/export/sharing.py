"""Which parts of an export another folder has already: those that were made from the same weights, the same way."""

from __future__ import annotations

from safelight_server import json_file, seal
from safelight_server.errors import LoadError
from safelight_server.manifest import NAME

from .plan import Options

TOKENIZERS = {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2"}


def shared(options: Options, hashes: dict[str, str]) -> dict[str, str]:
    """The parts that the other folder has from the same weights, with the same precision."""
    other = options.share_with
    if other is None:
        return {}
    if other.resolve().parent != options.output.resolve().parent:
        raise LoadError(f"{other}: must lie beside {options.output}, to share its parts")
    if not seal.check(other):
        raise LoadError(f"{other}: has no seal; only folders that this command exported can be shared")
    told = json_file.read(other / NAME)[1]
    theirs = told.get("source", {})
    if theirs.get("precision") != options.precision:
        return {}
    owned = [graph for graph in _graphs(hashes) if (other / graph).is_dir() and graph not in told.get("shared", {})]
    untouched = [graph for graph in owned if graph not in theirs.get("int8", {}) and graph != "unet"]
    same = [graph for graph in untouched if _of(graph, hashes) == _of(graph, theirs.get("weights", {}))]
    parts = same + [TOKENIZERS[graph] for graph in same if graph in TOKENIZERS]
    return dict.fromkeys(parts, other.resolve().name)


def _graphs(hashes: dict[str, str]) -> list[str]:
    parts = {name.partition("/")[0] for name in hashes}
    return sorted((parts - {"vae"}) | {"vae_encoder", "vae_decoder"})


def _of(graph: str, hashes: dict[str, str]) -> dict[str, str]:
    part = "vae" if graph.startswith("vae") else graph
    return {name: digest for name, digest in hashes.items() if name.startswith(f"{part}/")}
