"""What names and shapes a single file has, in safetensors or, if that is allowed, in a pickle."""

from __future__ import annotations

from pathlib import Path

from safelight_server.errors import LoadError
from safelight_server.export import headers
from safelight_server.export.headers import Header

SAFETENSORS = ".safetensors"


def read(path: Path, *, pickles: bool) -> Header:
    """The header of the file; that of a pickle is made of what it holds. Raises LoadError, one line."""
    if path.suffix.lower() == SAFETENSORS:
        return headers.read(path)
    with path.open("rb") as file:
        headers.refuse_impostor(path, file.read(64))
    if not pickles:
        raise LoadError(f"{path}: is a pickle, and can run code: --allow-pickle reads it, weights only")
    from safelight_server.export.tensors import unpickled

    try:
        found = unpickled(path)
    except Exception as error:  # whatever a pickle of something else makes the library raise
        raise LoadError(f"{path}: cannot be read as weights only: {str(error).splitlines()[0][:200]}") from None
    return Header(path, {name: tuple(value.shape) for name, value in found.items()}, {}, {})


def below(shapes: dict[str, tuple[int, ...]], prefixes: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes of those names that begin with one of `prefixes`, without it."""
    start = next((start for start in prefixes if any(name.startswith(start) for name in shapes)), prefixes[0])
    return {name[len(start) :]: shape for name, shape in shapes.items() if name.startswith(start)}
