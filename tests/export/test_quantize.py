"""INT8 as the exporter makes it: what calibration records, what each mode does to real graphs, and what is refused."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from safelight_server.arrays import Pixels
from safelight_server.compare.quality import psnr, relative_error
from safelight_server.diffusion.plan import Trajectory, make_plan
from safelight_server.jobs import Job, Prompts, Scheduler
from safelight_server.model_folder import model_config
from safelight_server.models.device import Device
from safelight_server.models.registry import Registry

pytest.importorskip("nncf")

COUNTS = {"base": 60, "vega_lcm": 16, "refiner": 20}
# How far a UNet's output may be from what it was.
MODES = {"ptq": 0.1, "hybrid": 0.1, "weights": 0.03}


def run(module: str, **task: Any) -> subprocess.CompletedProcess[str]:
    """A module of export/, as the exporter runs it."""
    command = [sys.executable, "-m", f"safelight_server.export.{module}", json.dumps(task)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refusal(module: str, **task: Any) -> str:
    done = run(module, **task)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("safelight-server: ")
    return line.removeprefix("safelight-server: ")


def counted(done: subprocess.CompletedProcess[str]) -> None:
    """Nothing but progress on stdout, rising to its total."""
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert {prompts[0] for prompts in lines} == {"progress"}
    assert lines[-1][1] == lines[-1][2]


@pytest.fixture(scope="module")
def samples(folders: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What calibration records of three kinds."""
    found = {}
    for kind, count in COUNTS.items():
        found[kind] = tmp_path_factory.mktemp(kind)
        counted(run("calibration", folder=folders[kind], output=str(found[kind]), count=count, vae=kind == "base"))
    return found


@pytest.fixture
def quantized(folders: dict[str, str], samples: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of a kind's folder with one part in INT8."""

    def quantize(kind: str, mode: str, part: str = "unet", **more: Any) -> Path:
        folder = tmp_path / f"{kind}-{mode}"
        shutil.copytree(folders[kind], folder)
        task = {"mode": mode, "part": part, "inputs": str(samples[kind]), "subset": 10, **more}
        counted(run("quantize", graph=str(folder / part / "openvino_model.xml"), **task))
        assert {path.name for path in (folder / part).iterdir()} == {
            path.name for path in Path(folders[kind], part).iterdir()
        }
        return folder

    return quantize


def recorded(folder: Path) -> list[dict[str, Any]]:
    return [dict(np.load(path)) for path in sorted(folder.glob("*.npz"))]


def graph(folder: str | Path, part: str = "unet") -> Any:
    return ov.Core().read_model(Path(folder, part, "openvino_model.xml"))


def outputs(graph: Any, samples: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([compiled(sample)[0].ravel() for sample in samples])


def quantizers(graph: Any) -> int:
    return sum(op.get_type_name() == "FakeQuantize" for op in graph.get_ops())


def read_by(graph: Any, module: str) -> set[str]:
    """The kinds of nodes that the convolution of `module` reads its sample and its weights from."""
    (found,) = (
        op for op in graph.get_ops() if f"{module}/" in op.get_friendly_name() and op.get_type_name() == "Convolution"
    )
    return {found.input_value(port).get_node().get_type_name() for port in (0, 1)}


@cache
def draw(folder: Path | str) -> Pixels:
    """One small picture, as the server draws it."""

    async def drawn() -> Pixels:
        model = await Registry(max_edge=512).load("m", model_config.read(Path(folder)), Device("CPU", "f32"))
        prompts = Prompts("a red apple", "a red apple")
        job = Job(
            id="job",
            model="m",
            prompts=prompts,
            size=(96, 96),
            steps=4,
            guidance=model.config.guidance,
            rescale=0.0,
            seeds=(0,),
            scheduler=Scheduler(model.config.scheduler),
        )
        (segment,) = make_plan(job, {"m": model.config}).segments
        trajectory = Trajectory(job, segment, 0)
        state, conditioning = model.start(trajectory, None)[0], await model.conditioner.encode(job, refines=False)
        async with aclosing(model.denoise(trajectory, state, conditioning, None)) as steps:
            async for step in steps:
                state = step.state
        return await model.decode(state.latents)

    return asyncio.run(drawn())


def test_calibration_sees_every_step_both_guidances_and_several_sizes(samples: dict[str, Path]) -> None:
    seen = recorded(samples["base"] / "unet")
    assert len(seen) == COUNTS["base"]
    assert len({float(sample["timestep"][0]) for sample in seen}) == 25
    assert {len(sample["sample"]) for sample in seen} == {1, 2}
    sizes = {sample["sample"].shape[2:] for sample in seen}
    assert len(sizes) >= 3
    assert any(height != width for height, width in sizes)
    for sample in seen:
        height, width = sample["sample"].shape[2:]
        assert tuple(sample["time_ids"][0]) == (8 * height, 8 * width, 0, 0, 8 * height, 8 * width)
    by_step: dict[float, set[Any]] = {}
    for sample in seen:
        by_step.setdefault(float(sample["timestep"][0]), set()).add(sample["sample"].shape[2:])
    assert any(len(of_step) > 1 for of_step in by_step.values()), "sizes go in step with the steps"
    assert all(sample["latent_sample"].shape[:2] == (1, 4) for sample in recorded(samples["base"] / "vae_decoder"))


def test_calibration_of_a_few_step_model_sees_all_its_steps(samples: dict[str, Path]) -> None:
    seen = recorded(samples["vega_lcm"] / "unet")
    assert len(seen) == COUNTS["vega_lcm"]
    assert {float(sample["timestep"][0]) for sample in seen} == {999, 759, 499, 259}
    assert all(len(sample["sample"]) == 1 for sample in seen), "no guidance by default"
    assert all(sample["timestep_cond"].shape == (1, 16) for sample in seen)


def test_calibration_of_a_refiner_redraws_pictures(samples: dict[str, Path]) -> None:
    seen = recorded(samples["refiner"] / "unet")
    assert all(sample["time_ids"].shape[1] == 5 for sample in seen)
    steps = {float(sample["timestep"][0]) for sample in seen}
    assert len(steps) == 15, "the last 60 % of 25"
    assert max(steps) < 700


@pytest.mark.parametrize("mode", MODES)
def test_a_mode(mode: str, folders: dict[str, str], samples: dict[str, Path], quantized: Callable[..., Path]) -> None:
    """Every mode's graph draws about the same, is smaller, and leaves the first and last convolutions alone."""
    folder = quantized("base", mode)
    before, after = graph(folders["base"]), graph(folder)
    seen = recorded(samples["base"] / "unet")[::10]
    assert relative_error(outputs(before, seen), outputs(after, seen)) < MODES[mode]
    assert psnr(draw(folders["base"]), draw(folder)) > 25
    size = (folder / "unet" / "openvino_model.bin").stat().st_size
    assert size < 0.5 * Path(folders["base"], "unet", "openvino_model.bin").stat().st_size
    layers = sum(op.get_type_name() in ("MatMul", "Convolution") for op in after.get_ops())
    expected = {"ptq": range(layers // 2, 2 * layers), "hybrid": range(1, layers), "weights": range(1)}
    assert quantizers(after) in expected[mode]
    for module in ("conv_in", "conv_out"):
        assert read_by(after, module) == read_by(before, module)


@pytest.mark.parametrize("kind", ["vega_lcm", "refiner"])
def test_other_kinds(
    kind: str, folders: dict[str, str], samples: dict[str, Path], quantized: Callable[..., Path]
) -> None:
    folder = quantized(kind, "ptq")
    seen = recorded(samples[kind] / "unet")[::5]
    assert relative_error(outputs(graph(folders[kind]), seen), outputs(graph(folder), seen)) < MODES["ptq"]
    if kind == "vega_lcm":
        draw(folder)


def test_the_decoder(folders: dict[str, str], samples: dict[str, Path], quantized: Callable[..., Path]) -> None:
    folder = quantized("base", "ptq", "vae_decoder")
    seen = recorded(samples["base"] / "vae_decoder")
    before, after = graph(folders["base"], "vae_decoder"), graph(folder, "vae_decoder")
    assert relative_error(outputs(before, seen), outputs(after, seen)) < 0.3
    assert quantizers(after) > 10
    assert "FakeQuantize" not in read_by(after, "conv_in") | read_by(after, "conv_out")


def test_other_names_of_the_convolutions(folders: dict[str, str], samples: dict[str, Path], tmp_path: Path) -> None:
    """Exporters differ in what they put before a module's name and behind it."""
    renamed = graph(folders["base"])
    for op in renamed.get_ops():
        op.set_friendly_name(
            op.get_friendly_name().replace("__module.model.", "__module.").replace("_convolution/", "x/")
        )
    ov.save_model(renamed, tmp_path / "openvino_model.xml")
    task = {"graph": str(tmp_path / "openvino_model.xml"), "inputs": str(samples["base"]), "subset": 4}
    counted(run("quantize", mode="ptq", smooth_quant={"convolution": -1, "matmul": -1}, **task))
    after = graph(tmp_path.parent, tmp_path.name)
    assert "FakeQuantize" not in read_by(after, "conv_in") | read_by(after, "conv_out")


def test_a_graph_without_the_convolutions_is_refused(folders: dict[str, str], tmp_path: Path) -> None:
    renamed = graph(folders["base"])
    for op in renamed.get_ops():
        op.set_friendly_name(op.get_friendly_name().replace("conv_out", "other"))
    path = tmp_path / "openvino_model.xml"
    ov.save_model(renamed, path)
    before = path.read_bytes()
    told = refusal("quantize", graph=str(path), mode="weights")
    assert told == f"{path}: must have a Convolution of the module conv_out, as Optimum Intel names it"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ({"mode": "int4"}, "mode must be one of ptq, hybrid, weights, not 'int4'"),
        ({"mode": "ptq", "part": "vae_encoder"}, "part must be one of unet, vae_decoder, not 'vae_encoder'"),
        ({"mode": "ptq"}, "inputs must name the samples for mode ptq, not null"),
        (
            {"mode": "ptq", "inputs": "/nowhere"},
            "inputs must be what calibration wrote, and there are no samples in /nowhere/unet",
        ),
    ],
)
def test_tasks_that_are_refused(task: dict[str, str], told: str, folders: dict[str, str]) -> None:
    path = Path(folders["base"], "unet", "openvino_model.xml")
    assert refusal("quantize", graph=str(path), **task).startswith(told)


@pytest.mark.parametrize(
    ("kind", "task", "told"),
    [
        ("inpaint", {}, "must be of kind base or refiner to be calibrated, not inpaint"),
        ("base", {"count": 10}, "samples must be at least 25, for every step to be seen, not 10"),
        ("base", {"sizes": [100]}, "sizes must be multiples of "),
        ("base", {"prompts": "/nowhere"}, "prompts must be a text file in UTF-8, not /nowhere"),
    ],
)
def test_calibrations_that_are_refused(
    kind: str, task: dict[str, Any], told: str, folders: dict[str, str], tmp_path: Path
) -> None:
    assert told in refusal("calibration", folder=folders[kind], output=str(tmp_path / "out"), **task)
    assert not (tmp_path / "out").exists()
