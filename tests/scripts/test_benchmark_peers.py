"""The benchmark's peers that read weights, not graphs: the weights' folder and file, who can draw, who is left out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark import checks, weights
from benchmark.folders import Model
from benchmark.peers import native, sdcpp, worker
from benchmark.peers.kinds import EXACT, KINDS, OTHERS, PEERS
from benchmark.request import Request
from benchmark.rows import against
from benchmark.session import Session
from safelight_server.model_folder import json_file

pytestmark = pytest.mark.filterwarnings("ignore:Deprecated in 0.9.0")  # transformers' way to read a tokenizer

SIZE = Request("base", 64, 4, 5.0)


@pytest.fixture(scope="module")
def vega(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, as the benchmark builds it: a checkpoint, and an export of which the scheduler is there."""
    from support.single_files import pipeline

    models = tmp_path_factory.mktemp("models")
    pipeline("vega", tmp_path_factory.mktemp("tokenizers")).save_pretrained(models / "vega")
    (models / "vegart" / "scheduler").mkdir(parents=True)
    (models / "vegart" / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "LCMScheduler"}')
    return models


def test_torch_gets_the_weights_with_the_scheduler_that_is_served(
    vega: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(native.VARIABLE, raising=False)
    checkpoint, single = weights.find("vegart", vega / "vegart", vega, tmp_path)
    assert checkpoint
    assert single is None, "nobody here reads it"
    _, index = json_file.read(checkpoint / "model_index.json")
    assert index["scheduler"] == ["diffusers", "LCMScheduler"]
    unet = checkpoint / "unet" / "diffusion_pytorch_model.safetensors"
    assert unet.samefile(vega / "vega" / "unet" / unet.name)
    assert sdcpp_scheduler(checkpoint) == "LCMScheduler"
    assert weights.find("vegart", vega / "vegart", vega, tmp_path) == (checkpoint, None)
    assert weights.find("vegart-int8", vega / "vegart", vega, tmp_path) == (None, None)


def sdcpp_scheduler(checkpoint: Path) -> str:
    return sdcpp.scheduler(checkpoint.with_name(f"{checkpoint.name}.safetensors"))


def test_the_single_file_has_every_weight_under_the_names_of_the_original_code(
    vega: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read back with diffusers' own tables, each part has the names and the values of the checkpoint, in f16."""
    import torch
    from safelight_server.export.single_file import convert
    from safetensors.torch import load_file

    monkeypatch.setenv(native.VARIABLE, str(tmp_path))
    _, single = weights.find("vegart", vega / "vegart", vega, tmp_path)
    assert single
    found = load_file(single)
    assert "model.diffusion_model.input_blocks.0.0.weight" in found, "by which stable-diffusion.cpp knows a UNet"
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        starts = convert.prefixes(part, found)
        own = {name: value for name, value in found.items() if name.startswith(starts)}
        _, config = json_file.read(vega / "vega" / part / "config.json")
        read = convert.to_diffusers(part, own, config)
        (file,) = (vega / "vega" / part).glob("*.safetensors")
        wanted = load_file(file)
        assert wanted.keys() == read.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(read[name].reshape(value.shape).float(), value.half().float(), rtol=0, atol=0)


def test_diffusers_on_torch_draws_our_picture(tmp_path: Path) -> None:
    from support import tiny_models
    from support.tiny_pipelines import pipeline

    folder = Path(tiny_models.folder("base"))
    pipeline(tiny_models.MODELS["base"]).save_pretrained(tmp_path / "base")
    model = Model(folder, folder, checkpoint=tmp_path / "base")
    with Session({"base": model}, "f32", tmp_path) as session:
        assert session.others("base") == [name for name in OTHERS if name.startswith("torch")]
        (ours,) = session.ours.pictures([SIZE])
        (theirs,) = session.peer(EXACT)(worker.pictures, [SIZE])
        assert session.peer(EXACT)(worker.first_preview, SIZE) > 0
        (rough,) = session.peer("torch-bf16")(worker.pictures, [SIZE])
    assert theirs.std() > checks.LEAST_SPREAD
    assert checks.judge(SIZE, ours, {EXACT: theirs}).equal
    assert 0 < np.abs(rough.astype(int) - theirs).max() < 128, "another precision, the same picture"


def test_a_peer_gets_the_settings_of_its_kind() -> None:
    assert worker.settings("genai", "bf16")["INFERENCE_PRECISION_HINT"] == "bf16"
    assert worker.settings("torch-bf16-compiled", "f32") == {"DTYPE": "bfloat16", "COMPILE": "default"}
    assert worker.settings("sdcpp-q8_0", "f32") == {"TYPE": "q8_0"}
    assert set(KINDS) == {*PEERS, *OTHERS}


class Timed:
    """A session in which a peer takes so many seconds, or fails with what stands there."""

    def __init__(self, seconds: dict[str, Any]) -> None:
        self.seconds, self.running = seconds, 0

    def others(self, model: str) -> list[str]:
        return list(self.seconds)

    def close(self) -> None:
        self.running = 0

    def new_peer(self, name: str) -> Any:
        session = self

        class One:
            def __call__(self, work: Any, request: Request) -> float:
                assert session.running == 1, "one at a time: two of full size are too many"
                if isinstance(session.seconds[name], Exception):
                    raise session.seconds[name]
                return float(session.seconds[name] + (100 if request.seed == SIZE.seed else 0))

            def close(self) -> None:
                session.running -= 1

        self.running += 1
        return One()


def test_the_fastest_alone_is_found_and_what_fails_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    session: Any = Timed({"torch-f32": 2.0, "torch-bf16": RuntimeError("no memory"), "sdcpp-f16": 1.0})
    alone = against.heat(session, SIZE)
    assert {name: taken.median for name, taken in alone.items()} == {"torch-f32": 2.0, "sdcpp-f16": 1.0}
    assert "torch-bf16 is left out: RuntimeError: no memory" in capsys.readouterr().err


def test_the_base_of_a_row_is_the_best_of_all_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    session: Any = Timed({"torch-f32": 2.0, "sdcpp-f16": 1.0})
    taken = {"genai": 3.0, "optimum": 4.0, "sdcpp-f16": 1.5}
    monkeypatch.setattr(against, "_once", lambda session, name, work, request, number: taken[name])
    samples, best = against.beside_peers(session, "row", {"safelight": lambda n: 1.2}, SIZE, 1)
    assert best == "sdcpp-f16"
    assert samples.keys() == {"safelight", *taken, "torch-f32, alone", "sdcpp-f16, alone"}


@pytest.fixture
def broken_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(native, "command", lambda folder: [sys.executable, "-c", "raise SystemExit('no compiler')"])
    monkeypatch.delenv(native.VARIABLE, raising=False)
    return tmp_path


def test_what_cannot_be_built_is_left_out(broken_pip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert native.ensure(broken_pip) is None
    assert "left out, for it cannot be built: no compiler" in capsys.readouterr().err
    assert native.VARIABLE not in os.environ


def test_it_is_built_of_its_source_for_this_processor(tmp_path: Path) -> None:
    words = native.command(tmp_path)
    assert words[words.index("--no-binary") + 1] == native.PACKAGE
    assert str(tmp_path) in words, "a folder of its own"
    assert native.environment()["CMAKE_ARGS"] == "-DGGML_NATIVE=ON"
