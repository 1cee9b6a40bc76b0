"""Names on the hub: one resolver for files, folders and repositories, with a network and without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safelight_server.errors import LoadError
from support.fake_hub import REVISION, FakeHub, fake_hub
from support.safetensors_files import write_header

pytest.importorskip("huggingface_hub")

from huggingface_hub import constants
from safelight_server.export import hub, source

NOWHERE = "http://127.0.0.1:9"
Offline = Callable[[], None]


def reach(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT does in a new process."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub of some repositories, an empty cache, and an empty folder to stand in."""
    folders = {
        "someone/lora-v1.1": ["pytorch_lora_weights.safetensors", "README.md"],
        "someone/one.lora": ["style.safetensors"],
        "someone/many": ["hyper-4steps.safetensors", "hyper-8steps.safetensors"],
        "someone/none": ["README.md"],
        "someone/two": ["pytorch_lora_weights.safetensors", "other.safetensors"],
        "someone/xl.1": ["sd_xl.safetensors"],
        "someone/deep": ["loras/style.safetensors", "a.safetensors"],
    }
    for name, files in folders.items():
        for file in files:
            write_header(tmp_path / "hub" / name / file)
    refused = {f"refused/{kind}": kind for kind in ("gated", "private", "token", "broken")}
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with fake_hub({**{name: tmp_path / "hub" / name for name in folders}, **refused}) as served:
        reach(served.address, monkeypatch)
        yield served


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("someone/lora-v1.1", "pytorch_lora_weights.safetensors"),
        ("someone/one.lora", "style.safetensors"),
        ("someone/two", "pytorch_lora_weights.safetensors"),
        ("someone/two/other.safetensors", "other.safetensors"),
        ("someone/many/hyper-8steps.safetensors", "hyper-8steps.safetensors"),
        ("someone/deep/loras/style.safetensors", "style.safetensors"),
    ],
)
def test_a_lora_is_found_by_its_name_and_keeps_its_suffix(name: str, file: str, world: FakeHub) -> None:
    found = hub.lora(name)
    assert (found.name, found.suffix) == (file, ".safetensors")
    assert found.is_symlink(), "the cache has links into blobs/HASH, and HASH has no suffix"
    assert len(world.asked) >= 1
    assert {path.rpartition("/")[2] for path in world.asked} == {file}, "nothing else is fetched"


def test_the_address_of_a_files_page_is_a_name(world: FakeHub) -> None:
    assert (
        hub.lora(f"{world.address}/someone/many/blob/main/hyper-4steps.safetensors").name == "hyper-4steps.safetensors"
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("someone/many", "has several files; name one: someone/many/hyper-4steps.safetensors, someone/many/hyper-8s"),
        ("someone/none", "has no file that could be a LoRA in safetensors"),
        ("someone/many/6steps.safetensors", "has no file 6steps.safetensors; it has hyper-4steps.safetensors, hyper-8"),
        ("someone/absent", "the hub has no such repository, or it is private or gated: check the name"),
        ("refused/gated", "is gated: ask for access on its page on the hub, then log in with `hf auth login`"),
        ("refused/gated", "Access to model refused/gated is restricted"),
        ("refused/private", "make sure you are authenticated"),
        ("refused/token", "the token lacks the permission to read this repository"),
        ("refused/token", "log in with `hf auth login`, or set HF_TOKEN"),
        ("refused/broken", "the hub says: "),
        ("nowhere.safetensors", "nowhere.safetensors: is not there"),
        ("./someone/one.lora", "./someone/one.lora: is not there"),
        ("not a name", "is no name on the hub either: that is OWNER/NAME"),
        ("https://elsewhere.example/api/download/models/1", "is no address of a repository or a file on the hub"),
    ],
)
def test_what_cannot_be_found_is_told_in_one_line(name: str, why: str, world: FakeHub) -> None:
    with pytest.raises(LoadError) as raised:
        hub.lora(name)
    assert why in str(raised.value)
    assert str(raised.value).startswith(name)
    assert "\n" not in str(raised.value)


def test_a_revision_that_is_not_there(world: FakeHub) -> None:
    with pytest.raises(LoadError, match="has no revision 'nosuch'"):
        source.find("someone/xl.1", "nosuch", half=True, pickles=False)


def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    reach(NOWHERE, monkeypatch)


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


WITHOUT = {"no network": (unreachable, "cannot be reached"), "offline": (offline, "HF_HUB_OFFLINE is set")}


@pytest.mark.parametrize("case", WITHOUT)
def test_without_a_network_the_cache_is_used(case: str, world: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = hub.lora("someone/lora-v1.1"), hub.lora("someone/many/hyper-4steps.safetensors")
    cut, why = WITHOUT[case]
    cut(monkeypatch)
    assert (hub.lora("someone/lora-v1.1"), hub.lora("someone/many/hyper-4steps.safetensors")) == cached
    assert REVISION in str(cached[0])
    with pytest.raises(LoadError) as raised:
        hub.lora("someone/one.lora")
    assert str(raised.value).startswith("someone/one.lora: is not in the cache")
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_here_goes_before_the_hub(world: FakeHub, tmp_path: Path) -> None:
    here = write_header(tmp_path / "here/someone/one.lora/mine.safetensors")
    assert hub.lora("someone/one.lora").resolve() == here
    assert hub.lora("someone/one.lora/mine.safetensors").resolve() == here
    assert not world.asked
