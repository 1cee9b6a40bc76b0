"""A sealed folder in which anything changed is refused; 1,000: pytest -m slow tests/model_folder/test_seal.py"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from safelight_server.errors import LoadError
from safelight_server.model_folder import model_config, seal
from support import corruptor

PARTS = ("tokenizer", "tokenizer_2", "text_encoder", "text_encoder_2", "vae_encoder", "vae_decoder", "vae_tiny_decoder")
VALUES = {"defaults": {"steps": 7, "guidance_scale": 2}, "source": {"model": "tiny"}}
WEIGHTS = "unet/openvino_model.bin"
VOCABULARY = "tokenizer/vocab.json"

Change = Callable[[Path], Any]


@pytest.fixture(scope="module")
def sealed(folders: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(folders["base"], tmp_path_factory.mktemp("sealed") / "model"))
    seal.write(folder, VALUES)
    return folder


@pytest.fixture
def folder(sealed: Path, tmp_path: Path) -> Path:
    """A copy to spoil; what is written must be a new file, for these are hard links."""
    return corruptor.copy(sealed, tmp_path / "model")


@pytest.fixture
def sharing(folders: dict[str, str], tmp_path: Path) -> Path:
    """A sealed folder that reads all but the UNet from the sealed folder `whole` beside it."""
    whole, folder = (Path(shutil.copytree(folders["base"], tmp_path / name)) for name in ("whole", "model"))
    seal.write(whole, {})
    for part in PARTS:
        shutil.rmtree(folder / part)
    seal.write(folder, {"shared": dict.fromkeys(PARTS, "whole")})
    return folder


def put(path: str, data: bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / path).unlink(missing_ok=True)
        (folder / path).write_bytes(data)

    return change


def rewritten(**changes: Any) -> Change:
    """safelight.json, changed and sealed anew by the rule in seal.py; None takes a key out."""

    def change(folder: Path) -> None:
        values = json.loads((folder / "safelight.json").read_text()) | {"seal": "0" * 64} | changes
        text = json.dumps({key: value for key, value in values.items() if value is not None})
        digest = hashlib.sha256(text.encode()).hexdigest()
        put("safelight.json", text.replace('"seal": "' + "0" * 64, f'"seal": "{digest}').encode())(folder)

    return change


def linked(path: str, to: str) -> Change:
    def change(folder: Path) -> None:
        (folder / path).rename(folder.parent / "moved")
        (folder / path).symlink_to(to)

    return change


def moved(name: str, to: str) -> Change:
    return lambda folder: (folder / name).rename(folder / to)


REFUSED: dict[str, tuple[Change, str]] = {
    "no JSON": (put("safelight.json", b"{"), "safelight.json: cannot be read as JSON"),
    "no text": (put("safelight.json", b"\xff\xfe{}"), "safelight.json: cannot be read as JSON"),
    "no object": (put("safelight.json", b"[]"), "safelight.json: cannot be read as JSON: it must hold a JSON object"),
    "too deep": (put("safelight.json", b"[" * 100_000), "safelight.json: cannot be read as JSON: it is nested"),
    "too large": (put("safelight.json", b" " * (2**24 + 1)), "safelight.json: cannot be read as JSON: it must have at"),
    "no seal": (rewritten(seal=None), "safelight.json: must have both files and seal"),
    "no files": (rewritten(files=None), "safelight.json: must have both files and seal"),
    "seal of another type": (rewritten(seal=7), "safelight.json: seal must be 64 hexadecimal digits, not 7"),
    "files of another type": (rewritten(files=[]), "safelight.json: files must be paths and their SHA-256, not list"),
    "hash of another type": (rewritten(files={"x": 1}), "safelight.json: files must give each path 64 hexadecimal"),
    "absolute": (rewritten(files={"/etc/passwd": "0" * 64}), "without '..', not '/etc/passwd'"),
    "upwards": (rewritten(files={"unet/../../x": "0" * 64}), "without '..', not 'unet/../../x'"),
    "another manifest": (put("safelight.json", b'{"seal": "' + b"0" * 64 + b'", "files": {}}'), "is not as it was"),
    "missing": (lambda folder: (folder / WEIGHTS).unlink(), f"{WEIGHTS}: is missing"),
    "changed": (put(WEIGHTS, b"other weights"), f"{WEIGHTS}: is not the file that was exported"),
    "added": (put("tokenizer/vocab.json", b"{}"), "tokenizer/vocab.json: was not exported"),
    "linked out": (linked(WEIGHTS, "../../moved"), f"{WEIGHTS}: must be a file or a folder, as was"),
    "folder linked out": (linked("unet", "../moved"), "unet: must be a file or a folder, as was exported, not a link"),
    "manifest linked out": (linked("safelight.json", "../moved"), "safelight.json: must be a file, as it was sealed"),
    "manifest linked nowhere": (linked("safelight.json", "../x"), "safelight.json: cannot be read as JSON"),
    "linked within": (linked(WEIGHTS, "config.json"), f"{WEIGHTS}: must be a file or a folder"),
    "pipe": (lambda folder: os.mkfifo(folder / VOCABULARY), f"{VOCABULARY}: must be a file or a folder"),
    "socket": (
        lambda folder: os.mknod(folder / VOCABULARY, stat.S_IFSOCK | 0o600),
        f"{VOCABULARY}: must be a file or a folder",
    ),
    "manifest renamed": (moved("safelight.json", "safelight.json.old"), ".json.old: is a sealed safelight.json"),
}  # fmt: skip


def refusal(folder: Path, named: Path | None = None) -> str:
    """The message of `check`: one line that names the folder."""
    with pytest.raises(LoadError) as raised:
        seal.check(folder)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    assert str(named or folder) in message
    return message


def test_a_sealed_folder_is_as_it_was(sealed: Path) -> None:
    counts: list[int] = []
    assert seal.check(sealed, counts.append)
    assert sum(counts) == seal.size(sealed) == sum(path.stat().st_size for path in seal.covered(sealed).values())
    written = json.loads((sealed / "safelight.json").read_text())
    assert {key: written[key] for key in VALUES} == VALUES
    assert set(written["files"]) == {
        path.relative_to(sealed).as_posix() for path in corruptor.files(sealed) if path.name != "safelight.json"
    }
    assert written["files"][WEIGHTS] == hashlib.sha256((sealed / WEIGHTS).read_bytes()).hexdigest()
    assert (model_config.read(sealed).steps, model_config.read(sealed).guidance) == (7, 2)


def test_a_callback_that_raises_stops_the_check(sealed: Path) -> None:
    counts: list[int] = []

    def on_progress(count: int) -> None:
        counts.append(count)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        seal.check(sealed, on_progress)
    assert sum(counts) < seal.size(sealed)


def test_sealing_again_changes_nothing(sealed: Path, folder: Path) -> None:
    seal.write(folder, json.loads((folder / "safelight.json").read_text()))
    assert (folder / "safelight.json").read_bytes() == (sealed / "safelight.json").read_bytes()


@pytest.mark.parametrize("manifest", [None, b"{}", b'{"defaults": {"steps": 3}}'])
def test_a_folder_without_a_seal_has_nothing_to_check(manifest: bytes | None, folder: Path) -> None:
    (folder / "safelight.json").unlink()
    if manifest is not None:
        put("safelight.json", manifest)(folder)
    assert not seal.check(folder)
    assert seal.size(folder) == 0


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, folder: Path) -> None:
    change, why = REFUSED[case]
    change(folder)
    assert why in refusal(folder)


ADDED: dict[str, Change] = {
    "the Finder": put(".DS_Store", b"x"),
    "the hub": put(".gitattributes", b"*.bin filter=lfs"),
    "a model card": put("README.md", b"# A model"),
    "in a part": put("unet/diffusion_pytorch_model.json", b"{}"),
    "an odd name": put("unet/a\nb", b"{}"),
    "a pipe": lambda folder: os.mkfifo(folder / "unet/pipe"),
    "a link to a folder elsewhere": lambda folder: (folder / "pictures").symlink_to("/"),
    "a link to a file elsewhere": lambda folder: (folder / "notes").symlink_to("../notes"),
}


@pytest.mark.parametrize("case", ADDED)
def test_files_that_nothing_reads_break_no_seal(case: str, folder: Path) -> None:
    size = seal.size(folder)
    ADDED[case](folder)
    assert seal.check(folder)
    assert seal.size(folder) == size


def test_a_sealed_folder_in_the_hub_s_cache(sealed: Path, tmp_path: Path) -> None:
    """There every file is a link: snapshots/REVISION/PATH to blobs/HASH."""
    repository = tmp_path / "models--someone--model"
    snapshot, blobs = repository / "snapshots" / ("1" * 40), repository / "blobs"
    blobs.mkdir(parents=True)
    for path in corruptor.files(sealed):
        blob, link = blobs / hashlib.sha256(path.read_bytes()).hexdigest(), snapshot / path.relative_to(sealed)
        blob.write_bytes(path.read_bytes())
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    assert seal.check(snapshot)
    assert seal.size(snapshot) == seal.size(sealed)
    (snapshot / WEIGHTS).resolve().write_bytes(b"other weights")
    assert f"{blobs}" in refusal(snapshot, named=blobs)


def test_folders_nested_deeper_than_python_calls_itself(folder: Path) -> None:
    deep = [folder / "/".join("d" * (i + 1)) for i in range(1200)]
    for path in deep:
        path.mkdir()
    (deep[-1] / "f").touch()
    assert seal.check(folder)
    (deep[-1] / "f").unlink()
    for path in reversed(deep):  # pytest could not
        path.rmdir()


def test_every_byte_of_the_manifest_counts(folder: Path) -> None:
    path = folder / "safelight.json"
    whole = path.read_bytes()
    for i in range(len(whole)):
        put("safelight.json", whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])(folder)
        assert "safelight.json: " in refusal(folder)


def test_parts_that_are_read_from_a_folder_beside_are_sealed_too(sharing: Path) -> None:
    assert seal.check(sharing)
    assert "vae_decoder/openvino_model.bin" in json.loads((sharing / "safelight.json").read_text())["files"]
    put("../whole/scheduler/x", b"not one of the shared parts")(sharing)
    assert seal.check(sharing)


SHARED: dict[str, tuple[Change, str]] = {
    "changed": (put("../whole/vae_decoder/openvino_model.bin", b"x"), "vae_decoder/openvino_model.bin: is not the"),
    "added": (put("../whole/tokenizer/vocab.json", b"{}"), "whole/tokenizer/vocab.json: was not exported"),
    "part missing": (lambda folder: shutil.rmtree(folder / "../whole/vae_encoder"), "vae_encoder: cannot be read"),
    "folder missing": (moved("../whole", "../other"), "cannot be read: No such file or directory"),
    "linked out": (linked("../whole/vae_encoder", "../moved"), "whole/vae_encoder: must be a folder"),
    "own": (lambda folder: (folder / "tokenizer").mkdir(), "tokenizer: must not be there, as safelight.json says"),
}  # fmt: skip


@pytest.mark.parametrize("case", SHARED)
def test_what_is_refused_of_a_folder_beside(case: str, sharing: Path) -> None:
    change, why = SHARED[case]
    change(sharing)
    assert why in refusal(sharing, named=sharing.parent)


@pytest.mark.parametrize("count", [150, pytest.param(1000, marks=pytest.mark.slow)])
def test_corrupted_folders_are_refused(count: int, sealed: Path, tmp_path: Path) -> None:
    random = Random(count)
    for i in range(count):
        name = list(corruptor.CORRUPTIONS)[i % len(corruptor.CORRUPTIONS)]
        folder = corruptor.corrupt(sealed, tmp_path / f"{i}", name, random)
        refusal(folder)
        with suppress(LoadError):  # whatever the files say now, reading them ends, and with no other error
            model_config.read(folder)
        shutil.rmtree(folder)
