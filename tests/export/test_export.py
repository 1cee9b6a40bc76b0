"""safelight-server export, whole: small checkpoints exported, served, and held against diffusers on torch."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safelight import Client
from safelight_server.model_folder import seal
from support.servers import ServerProcess

pytest.importorskip("optimum")
pytest.importorskip("peft")

pytestmark = pytest.mark.timeout(600)

FAST = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints and pictures of tests/support/tiny_checkpoints.py."""
    folder = tmp_path_factory.mktemp("checkpoints")
    command = [sys.executable, "-W", "ignore", "-m", "support.tiny_checkpoints", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[1])
    return folder


def export(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "safelight_server", "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | FAST, **more)


@pytest.fixture(scope="module")
def exported(made: Path) -> Path:
    """`base`, in f32; `vega`, with the LoRA, sharing base's VAE; `refiner`."""
    folder = made / "exported"
    folder.mkdir()

    def exports(name: str, *options: object) -> None:
        done = export(made / name, folder / name, "--weights", "f32", *options)
        assert done.returncode == 0, done.stderr

    with ThreadPoolExecutor() as pool:
        refiner = pool.submit(exports, "refiner")
        exports("base", "--tiny-vae", made / "tiny")
        exports("vega", "--lora", made / "lora.safetensors", "--share-with", folder / "base")
        refiner.result()
    return folder


@pytest.fixture(scope="module")
def client(exported: Path) -> Iterator[Client]:
    models = [f"--model={name}={exported / name}" for name in ("base", "vega", "refiner")]
    with ServerProcess(*models, "--precision=f32") as process, Client(process.address) as client:
        assert process.log().count("files are those that were exported") == 3
        yield client


def test_a_picture_is_that_of_diffusers(client: Client, made: Path) -> None:
    near(client.generate("a red apple", seed=7, steps=5, guidance_scale=5.0, width=96, height=64), made / "base.npy")


def test_a_fused_lora_draws_as_in_diffusers(client: Client, made: Path) -> None:
    """4 steps, LCM, no guidance: what the folder says of itself."""
    near(client.generate("a red apple", model="vega", seed=7, width=192, height=128), made / "vega.npy")


def test_a_refiner_refines_as_in_diffusers(client: Client, made: Path) -> None:
    from support.tiny_checkpoints import picture

    settings: dict[str, Any] = {"seed": 7, "steps": 8, "guidance_scale": 5.0, "strength": 0.5}
    near(client.refine(picture(), "a red apple", model="refiner", **settings), made / "refiner.npy")


def near(result: Any, reference: Path) -> None:
    ours, theirs = np.asarray(result.image.convert("RGB")), np.load(reference)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 2
    assert theirs.std() > 5, "a flat picture would prove nothing"


def test_the_manifest_tells_where_all_of_it_came_from(exported: Path) -> None:
    told = json.loads((exported / "vega" / "safelight.json").read_text(encoding="utf-8"))
    assert told["defaults"] == {"steps": 4, "guidance_scale": 1.0}
    assert told["source"]["name"] == "vega"
    digest = hashlib.sha256((exported.parent / "lora.safetensors").read_bytes()).hexdigest()
    assert told["source"]["lora"] == {"file": "lora.safetensors", "sha256": digest, "scale": 1.0}
    assert set(told["shared"]) == {"vae_encoder", "vae_decoder", "tokenizer", "tokenizer_2"}, "what is as base has it"
    assert not (exported / "vega" / "vae_decoder").exists()
    assert str(exported.parent) not in json.dumps(told)
    assert all(seal.check(exported / name) for name in ("base", "vega", "refiner"))


def test_a_tiny_vae_is_exported_for_previews(exported: Path, client: Client) -> None:
    assert {"vae_tiny_decoder", "vae_tiny_encoder"} < {path.name for path in (exported / "base").iterdir()}
    assert [model.has_tiny_decoder for model in client.models()] == [True, False, False]


def test_weights_are_stored_in_half_by_default_and_a_stopped_export_goes_on(made: Path, exported: Path) -> None:
    """Ctrl-C after the first part: no folder; the same command then makes the other parts, and not the first again."""
    output = made / "stopped"
    aside = made / ".stopped.partial"
    command = [sys.executable, "-m", "safelight_server", "export", str(made / "base"), str(output)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        wait_for(lambda: (aside / "unet" / "openvino_model.bin").exists())
        os.killpg(process.pid, signal.SIGINT)
        told = process.communicate()[1]
    assert process.returncode != 0
    assert "stopped; the same command goes on from here" in told
    assert "Traceback" not in told
    assert not output.exists()
    first = (aside / "unet" / "openvino_model.bin").stat()
    done = export(made / "base", output)
    assert done.returncode == 0, done.stderr
    assert (output / "unet" / "openvino_model.bin").stat().st_ino == first.st_ino
    assert not aside.exists()
    halves = [(folder / "unet" / "openvino_model.bin").stat().st_size for folder in (output, exported / "base")]
    assert 0.45 < halves[0] / halves[1] < 0.6


def wait_for(true: Callable[[], bool], patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_lora_for_another_model_is_refused(made: Path) -> None:
    done = export(made / "base", made / "mismatch", "--lora", made / "lora.safetensors")
    assert_refused(done, made / "mismatch", "lora.safetensors: was made for another model")


def test_a_full_disk_is_told_in_one_line(made: Path) -> None:
    """A limit on the size of files stands in for the disk."""

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    done = export(made / "base", made / "full", preexec_fn=small)
    assert_refused(done, made / "full", "unet could not be written whole; is the disk full?")


def assert_refused(done: subprocess.CompletedProcess[str], output: Path, why: str) -> None:
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("safelight-server: ")
    assert why in last
    assert "Traceback" not in done.stderr
    assert not output.exists()


def test_int8_is_calibrated_on_the_export_itself_and_served(made: Path, exported: Path) -> None:
    output = made / "exported" / "int8"
    options = ("--int8", "--int8-vae", "--samples", "12", "--share-with", exported / "base")
    done = export(made / "vega", output, "--weights", "f32", "--lora", made / "lora.safetensors", *options)
    assert done.returncode == 0, done.stderr
    told = json.loads((output / "safelight.json").read_text(encoding="utf-8"))
    assert told["source"]["int8"] == {"unet": "ptq", "vae_decoder": "ptq"}
    assert told["source"]["calibration"] == {"samples": 12, "prompts": "the tool's own"}
    for part in ("unet", "vae_decoder"):
        assert 'type="FakeQuantize"' in (output / part / "openvino_model.xml").read_text(encoding="utf-8")
    assert "vae_decoder" not in told["shared"], "a decoder that is quantized is nobody else's"
    with ServerProcess(f"--model=int8={output}") as process, Client(process.address) as client:
        assert np.asarray(client.generate("a red apple").image).std() > 5
