"""Fetches files from the Hugging Face hub: only those that are needed, and each only once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from safelight_server.errors import LoadError


def lora(name: str) -> Path:
    """The file of a LoRA: `name` itself, or the one safetensors file of the repository of that name on the hub.

    Raises LoadError for a repository that has none or several, and what `fetch` raises.
    """
    if Path(name).suffix or Path(name).exists():
        return Path(name)
    folder = fetch(name, None, lambda names: [path for path in names if path.endswith(".safetensors")])
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise LoadError(f"{name}: must hold one LoRA in safetensors, not {len(files)}; give the file itself")
    return files[0]


def tiny_vae(name: str) -> Path:
    """The folder of an AutoencoderTiny: `name` itself, or the repository of that name on the hub.

    Raises what `fetch` raises.
    """
    if Path(name).exists():
        return Path(name)
    wanted = ("config.json", "diffusion_pytorch_model.safetensors")
    return fetch(name, None, lambda names: [path for path in names if path in wanted])


def fetch(name: str, revision: str | None, wanted: Callable[[Sequence[str]], list[str]]) -> Path:
    """The local folder with those files of a repository that `wanted` chooses among its names.

    Raises LoadError, one line, where the hub cannot be reached or has no such repository.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        files = wanted(HfApi().list_repo_files(name, revision=revision))
        return Path(snapshot_download(name, revision=revision, allow_patterns=files))
    except (OSError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LoadError(f"{name}: is not here, and the hub says: {reason}") from None
