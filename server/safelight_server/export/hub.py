"""Finds what a command names: a file, a folder, a name on the Hugging Face hub, or one file of a repository there.

Only what is needed is fetched, and each file only once; without a network, what the cache has is used.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from safelight_server.errors import LoadError

from . import small_files, weight_files

LORA = "pytorch_lora_weights.safetensors"
WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
Wanted = Callable[[Sequence[str]], list[str]]  # which of a repository's files are needed


def find(name: str, revision: str | None, wanted: Wanted) -> Path:
    """The file or folder that `name` says; of a folder on the hub, the files that `wanted` chooses among all names.

    A name on the hub is OWNER/NAME, OWNER/NAME/FILE, or the address of a file's page. Raises LoadError, one line.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    repository, file = _split(name)
    if not repository:
        raise LoadError(f"{name}: is not there")
    folder = fetch(repository, revision, (lambda names: [file] if file in names else []) if file else wanted)
    if file and not (folder / file).is_file():
        raise LoadError(f"{name}: is not there: {repository} has no file {file}{_others(folder, repository, revision)}")
    return folder / file if file else folder


def _split(name: str) -> tuple[str, str]:
    """The repository and the file that a name on the hub means; two empty texts for what can only be a path."""
    address = urlsplit(name)
    if address.scheme in ("http", "https"):
        owner, repository, kind, _, *rest = [*address.path.strip("/").split("/"), *[""] * 4][:64]
        if kind not in ("", "blob", "resolve"):
            raise LoadError(f"{name}: is no address of a repository or a file on the hub; fetch it, and give the file")
        return f"{owner}/{repository}", "/".join(part for part in rest if part)
    parts = name.split("/")
    local = name.startswith((".", "/", "~")) or (len(parts) > 2 and Path(parts[0]).exists())
    if local or "" in parts or (len(parts) <= 2 and Path(name).suffix.lower() in WEIGHTS):
        return "", ""
    return "/".join(parts[:2]), "/".join(parts[2:])


def _others(folder: Path, repository: str, revision: str | None) -> str:
    names: list[str] = []

    def note(found: Sequence[str]) -> list[str]:
        names.extend(found)
        return []

    try:
        fetch(repository, revision, note)
    except LoadError:
        return ""
    files = [name for name in names if name.lower().endswith(WEIGHTS)]
    return f"; it has {', '.join(files[:8])}" if files else ""


def one(name: str, files: Sequence[str], what: str) -> str:
    """The one file among `files` of the folder or repository `name`.

    Raises LoadError, which says how to name one, where there are several.
    """
    if not files:
        raise LoadError(f"{name}: has no file that could be {what}")
    if len(files) > 1:
        raise LoadError(f"{name}: has several files; name one: {', '.join(f'{name}/{file}' for file in files[:8])}")
    return files[0]


def lora(name: str) -> Path:
    """The file of a LoRA: `name` itself, or the one in the folder or the repository of that name.

    Raises LoadError for a folder or a repository that has none or several, and what `find` raises.
    """

    def choose(names: Sequence[str]) -> list[str]:
        # As diffusers does: the file that it writes itself goes before others.
        files = [path for path in names if path.endswith(".safetensors") and "/" not in path]
        return [one(name, [path for path in files if path == LORA] or files, "a LoRA in safetensors")]

    path = find(name, None, choose)
    return path / choose(sorted(inside.name for inside in path.iterdir()))[0] if path.is_dir() else path


def tiny_vae(name: str) -> Path:
    """The folder of an AutoencoderTiny: `name` itself, or the repository of that name on the hub.

    Raises LoadError for what is none, and what `find` raises.
    """
    path = find(name, None, lambda names: ["config.json", *weight_files.choose(names, weight_files.MODEL)])
    if not (path / "config.json").is_file():
        raise LoadError(f"--tiny-vae must be a folder with config.json and weights, and {name} is not")
    kind = small_files.read(path / "config.json").get("_class_name")
    if kind != "AutoencoderTiny":
        raise LoadError(f"{name}: --tiny-vae must be an AutoencoderTiny, as TAESDXL is one, not {kind!r}")
    weight_files.find(path, weight_files.MODEL)
    return path


def fetch(name: str, revision: str | None, wanted: Wanted) -> Path:
    """The local folder with those files of a repository that `wanted` chooses among its names.

    Where the hub cannot be reached it is what the cache has. Raises LoadError, one line, where there is nothing.
    """
    import httpx
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    from .hub_errors import reason

    api = HfApi()
    try:
        files = wanted([file.rfilename for file in api.model_info(name, revision=revision).siblings or ()])
        patterns = [glob.escape(file) for file in files]
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except (OSError, httpx.HTTPError, HFValidationError, RuntimeError) as error:  # RuntimeError: a lost connection
        is_answer = isinstance(error, HfHubHTTPError) and error.response.status_code < 500
        if not is_answer and (folder := _cached(name, revision)):
            return folder
        raise LoadError(f"{name}: {reason(error, revision)}") from None


def _cached(name: str, revision: str | None) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
