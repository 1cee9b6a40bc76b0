"""Every program in examples/, run as a user runs it, against a server of the demo models."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from support.servers import ServerProcess

EXAMPLES = Path(__file__).parents[1] / "examples"
SLOTS, QUEUE = 1, 3  # so that few jobs fill the server

# A program that presses the button of a Gradio page, and prints what it says while the picture comes up.
PRESS = """
import sys
from gradio_client import Client
job = Client(sys.argv[1], verbose=False).submit("an owl", "", "demo-vega", 4, 1, 7, 128, api_name="/draw")
job.result()
for picture, said in job.outputs():
    print(said)
print(picture["path"] if isinstance(picture, dict) else picture)
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ServerProcess(f"--slots={SLOTS}", f"--queue={QUEUE}") as process:
        yield process.address


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> Path:
    monkeypatch.setenv("SAFELIGHT_ADDRESS", address)
    return tmp_path


def start(name: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(EXAMPLES / name)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(name: str, folder: Path) -> str:
    return finish(start(name, folder))


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(np.int16)


def test_every_example_has_a_test() -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in tests] == []


def test_generate(folder: Path) -> None:
    told = run("generate.py", folder)
    assert "Progress(" in told
    assert told.endswith("the same again\n")
    assert pixels(folder / "apple.png").shape == (128, 128, 3)


def test_stream_previews(folder: Path) -> None:
    told = run("stream_previews.py", folder)
    assert "demo-xl draws it in 25 steps" in told
    assert "done: owl.png" in told
    preview, picture = pixels(folder / "preview.jpg"), pixels(folder / "owl.png")
    assert np.abs(preview - picture).mean() < 30  # the last preview is nearly the picture


def test_refine(folder: Path) -> None:
    run("refine.py", folder)
    first, redrawn, half = (pixels(folder / f"{name}.png") for name in ("first", "redrawn", "half"))
    assert np.abs(redrawn - first).mean() > 10
    changed = np.abs(half - first).mean(axis=(0, 2))  # by column
    assert changed[:56].mean() < 10 < changed[72:].mean()


def test_batch_async(folder: Path) -> None:
    told = run("batch_async.py", folder)
    assert sorted(path.name for path in folder.iterdir()) == ["apple.png", "owl.png", "pizza.png", "rocket.png"]
    assert len(told.splitlines()) == 4


def test_errors_and_retries(folder: Path, address: str) -> None:
    calls: list[Any] = []  # a call that nobody holds is cancelled
    with ExitStack() as stack:
        for seed in range(SLOTS + QUEUE):  # each by a connection of its own: so all callers have their share
            options = (("grpc.use_local_subchannel_pool", 1),)
            channel = stack.enter_context(grpc.insecure_channel(address, options=options))
            job = pb.GenerateRequest(prompt="an owl", steps=150, num_images=16, seed=100 * seed)
            calls.append(ImageServiceStub(channel).Stream(pb.StreamRequest(generate=job)))
            next(calls[-1])
        process = start("errors_and_retries.py", folder)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("QUEUE_FULL: trying again in ")
    told = finish(process)
    assert "width: " in told
    assert "steps: " in told
    assert "half a second was not enough" in told
    assert "NOT_FOUND MODEL_NOT_FOUND" in told
    assert pixels(folder / "cactus.png").shape == (128, 128, 3)


def test_pick_and_finish(folder: Path) -> None:
    told = run("pick_and_finish.py", folder).splitlines()
    assert told[0].startswith("safelight attach ")
    assert sum("rests after step 8 of 24" in line for line in told) == 4
    assert told[-1] == "finished: picked.png"
    assert pixels(folder / "picked.png").shape == (128, 128, 3)


@pytest.fixture(scope="module")
def gradio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with Gradio and the client: an environment of its own, for Gradio wants older packages."""
    python = tmp_path_factory.mktemp("gradio") / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    client = EXAMPLES.parent / "client"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "gradio", client], check=True)
    return python


@pytest.mark.slow  # pytest -m slow tests/test_examples.py: a minute, and 100 MB of packages
def test_gradio_app(gradio: Path, folder: Path) -> None:
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    command: list[Path | str] = [gradio, EXAMPLES / "gradio_app.py"]
    app = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert app.stdout is not None
        url = next(word for line in app.stdout for word in line.split() if word.startswith("http://"))
        command = [gradio, "-c", PRESS, url]
        pressed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, timeout=120)
    finally:
        app.kill()
        app.communicate()
    *told, last, path = pressed.stdout.splitlines()
    assert "step 1 of 4" in told
    assert last == "seed 7"
    assert pixels(Path(path)).shape == (128, 128, 3)
