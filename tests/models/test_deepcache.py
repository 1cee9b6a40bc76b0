"""A UNet cut in two: the halves say what the whole says, on the same weights; what is no UNet is left whole. In f32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as opset
from safelight_server import demo
from safelight_server.compare.quality import relative_error
from safelight_server.diffusion.networks import FEATURE
from safelight_server.model_folder import json_file
from safelight_server.models.deepcache import Halves, halves
from safelight_server.pixels import kernels
from safelight_server.samplers.noise import randn
from safelight_server.samplers.table import make_schedule
from support import compiled

Array = np.ndarray[Any, Any]
Inputs = dict[str, Array]

DEMO = Path(demo.__file__).parent
DEMOS = ["demo-xl", "demo-vega", "demo-refiner"]  # demo-vega is in INT8
KINDS = ["base", "zero_snr", "vega_lcm", "refiner", "inpaint"]  # of tests/support/tiny_models.py
CORE = ov.Core()


def read(name: str, folders: dict[str, str], part: str = "unet") -> Any:
    return CORE.read_model(Path(folders.get(name, DEMO / name), part, "openvino_model.xml"))


def cut(graph: Any) -> Halves:
    found = halves(graph)
    assert found is not None
    return found


class Compiled:
    """A graph ready to run; of what it is given it takes what it reads."""

    def __init__(self, graph: Any, **settings: str) -> None:
        settings = {"CACHE_DIR": str(compiled.folder("halves")), **settings}
        self._network = CORE.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **settings})
        self.from_cache = bool(self._network.get_property("LOADED_FROM_CACHE"))

    def __call__(self, inputs: Inputs) -> dict[str, Array]:
        outputs = self._network({port.any_name: inputs[port.any_name] for port in self._network.inputs})
        return {port.any_name: outputs[port].copy() for port in self._network.outputs}


def random_inputs(graph: Any, rows: int = 2, size: tuple[int, int] = (16, 16)) -> Inputs:
    """A noisy sample, no words in particular."""
    rng = np.random.default_rng(0)
    inputs = {}
    for port in graph.inputs:
        shape = [rows, *(axis.get_length() if axis.is_static else 0 for axis in list(port.partial_shape)[1:])]
        shape[2:] = size if port.any_name == "sample" else shape[2:]
        inputs[port.any_name] = rng.standard_normal(tuple(shape), dtype=np.float32)
    inputs["timestep"] = np.full(rows, 500, np.int64)
    return inputs


def a_step_later(inputs: Inputs) -> Inputs:
    noise = np.random.default_rng(1).standard_normal(inputs["sample"].shape, dtype=np.float32)
    return inputs | {"sample": inputs["sample"] + np.float32(0.05) * noise, "timestep": inputs["timestep"] - 20}


def count(graph: Any, *kinds: str) -> int:
    return sum(op.get_type_name() in kinds for op in graph.get_ops())


def constants(graph: Any) -> dict[str, Array]:
    return {op.get_friendly_name(): op.data for op in graph.get_ops() if op.get_type_name() == "Constant"}


def last_concatenation(graph: Any) -> Any:
    *_, last = (op for op in graph.get_ordered_ops() if "/aten::cat/Concat" in op.get_friendly_name())
    return last


@pytest.mark.parametrize("name", DEMOS + KINDS)
def test_the_halves_say_what_the_whole_says(name: str, folders: dict[str, str]) -> None:
    """To the bit, as the kernels are the same, at any size and number of rows; the graph itself stays as it is."""
    graph = read(name, folders)
    full_graph, shallow_graph = cut(graph)
    assert [port.any_name for port in graph.outputs] == ["out_sample"]
    whole, full, shallow = Compiled(graph), Compiled(full_graph), Compiled(shallow_graph)
    for rows, size in ((2, (16, 16)), (1, (24, 8)), (3, (8, 32))):
        inputs = random_inputs(graph, rows, size)
        outputs = full(inputs)
        assert list(outputs) == ["out_sample", FEATURE]
        assert outputs[FEATURE].dtype == np.float32
        assert (outputs[FEATURE].shape[0], *outputs[FEATURE].shape[2:]) == (rows, *size)
        (expected,) = whole(inputs).values()
        assert np.array_equal(outputs["out_sample"], expected)
        assert np.array_equal(shallow(inputs | outputs)["out_sample"], expected)


@pytest.mark.parametrize("name", DEMOS + KINDS)
def test_the_shallow_half_is_small(name: str, folders: dict[str, str]) -> None:
    """It reads no words; of the layers and the weights it has few, and those are not copies."""
    graph = read(name, folders)
    full, shallow = cut(graph)
    names = [port.any_name for port in graph.inputs if port.any_name != "encoder_hidden_states"]
    assert [port.any_name for port in shallow.inputs] == [*names, FEATURE]
    layers = "Convolution", "MatMul"
    assert count(shallow, *layers) == 10 + ("timestep_cond" in names)
    assert count(full, *layers) == count(graph, *layers) >= 70
    weights, of_full, of_shallow = constants(graph), constants(full), constants(shallow)
    assert sum(data.nbytes for data in of_shallow.values()) < 0.12 * sum(data.nbytes for data in of_full.values())
    for of_half in (of_full, of_shallow):
        assert all(data.ctypes.data == weights[constant].ctypes.data for constant, data in of_half.items())


@pytest.mark.parametrize("name", DEMOS)
def test_an_old_feature_is_read_and_is_nearly_right(name: str, folders: dict[str, str]) -> None:
    graph = read(name, folders)
    full, shallow = (Compiled(half) for half in cut(graph))
    before = random_inputs(graph)
    after = a_step_later(before)
    old, new = full(before), full(after)

    def error(feature: Array) -> float:
        return relative_error(new["out_sample"], shallow(after | {FEATURE: feature})["out_sample"])

    assert error(new[FEATURE]) == 0
    assert 0 < error(old[FEATURE]) < relative_error(new["out_sample"], old["out_sample"])
    assert error(old[FEATURE]) < 0.1 < error(np.zeros_like(old[FEATURE]))


def test_rows_do_not_mix(folders: dict[str, str]) -> None:
    """Jobs whose steps run together have rows at different steps, and features of different steps."""
    graph = read("demo-xl", folders)
    full, shallow = (Compiled(half) for half in cut(graph))
    inputs = random_inputs(graph)
    inputs["timestep"][:] = 500, 20
    inputs[FEATURE] = full(a_step_later(inputs))[FEATURE]
    together = shallow(inputs)["out_sample"]
    for row in (slice(0, 1), slice(1, 2)):
        alone = shallow({name: value[row] for name, value in inputs.items()})["out_sample"]
        assert np.array_equal(alone, together[row])


def quantize(reader: Any, name: str) -> None:
    """Puts a quantizer before an input, named as NNCF names them."""
    bounds = [opset.constant(np.float32(bound)) for bound in (-8, 8, -8, 8)]
    quantizer = opset.fake_quantize(reader.get_source_output(), *bounds, 256)
    quantizer.set_friendly_name(name)
    reader.replace_source_output(quantizer.output(0))


def test_the_feature_is_taken_before_its_quantizer(folders: dict[str, str]) -> None:
    """Some quantized graphs quantize what a concatenation reads and gives."""
    graph = read("demo-xl", folders)
    concatenation = last_concatenation(graph)
    name = concatenation.get_friendly_name()
    for place, reader in enumerate(concatenation.output(0).get_target_inputs()):
        quantize(reader, f"{name}/fq_output_{place}")
    for place, reader in enumerate(concatenation.inputs()):
        quantize(reader, f"{name}/fq_input_{place}")
    full, shallow = cut(graph)
    assert count(shallow, "FakeQuantize") == 4
    inputs = random_inputs(graph)
    outputs = Compiled(full)(inputs)
    assert len(np.unique(outputs[FEATURE])) > 256
    assert np.array_equal(Compiled(shallow)(inputs | outputs)["out_sample"], outputs["out_sample"])


def test_other_names_of_the_blocks(folders: dict[str, str]) -> None:
    """Exporters differ in what they put before a module's name."""
    for prefix in ("__module.", "__module.unet.", ""):
        graph = read("base", folders)
        for op in graph.get_ops():
            op.set_friendly_name(op.get_friendly_name().replace("__module.model.", prefix))
        assert count(cut(graph).shallow, "Convolution", "MatMul") == 10


@pytest.mark.parametrize("part", ["vae_decoder", "vae_encoder", "text_encoder"])
def test_what_is_no_unet_is_left_whole(part: str, folders: dict[str, str]) -> None:
    assert halves(read("base", folders, part)) is None


def test_a_unet_without_an_up_block_is_left_whole(folders: dict[str, str]) -> None:
    graph = read("base", folders)
    for op in graph.get_ops():
        op.set_friendly_name(op.get_friendly_name().replace("up_blocks", "blocks"))
    assert halves(graph) is None


def test_a_cut_that_leaves_the_deep_layers_is_not_made(folders: dict[str, str]) -> None:
    """As in a UNet that joins the skip and the deep part the other way round."""
    graph = read("base", folders)
    ports = last_concatenation(graph).inputs()
    sources = [port.get_source_output() for port in ports]
    for port, source in zip(ports, reversed(sources), strict=True):
        port.replace_source_output(source)
    assert halves(graph) is None


def test_the_halves_load_from_a_cache(folders: dict[str, str], tmp_path: Path) -> None:
    """With the weights left out of it: each half's blob finds them in the file of the graph that was cut."""
    path = DEMO / "demo-xl" / "unet" / "openvino_model.bin"
    settings = {"CACHE_DIR": str(tmp_path), "CACHE_MODE": "OPTIMIZE_SIZE", "WEIGHTS_PATH": str(path)}
    graph = read("demo-xl", folders)
    inputs = random_inputs(graph)
    for half in cut(graph):
        first, again = Compiled(half, **settings), Compiled(half, **settings)
        assert (first.from_cache, again.from_cache) == (False, True)
        expected, outputs = first(inputs), again(inputs)
        assert all(np.array_equal(outputs[name], value) for name, value in expected.items())
        inputs |= expected


def test_a_denoising_ends_near_where_it_did(folders: dict[str, str]) -> None:
    """25 steps of Euler with no words: the rarer the refresh, the further off; at every step, not at all."""
    graph = read("demo-xl", folders)
    whole, full, shallow = (Compiled(part) for part in (graph, *cut(graph)))
    schedule = make_schedule("euler", json_file.read(DEMO / "demo-xl/scheduler/scheduler_config.json")[1], 25)
    inputs = {name: np.zeros_like(value) for name, value in random_inputs(graph, rows=1).items()}
    inputs["time_ids"] = np.array([[128, 128, 0, 0, 128, 128]], np.float32)

    def denoised(interval: int) -> Array:
        latents, kept = randn(7, 0, (1, 4, 16, 16))[0] * np.float32(schedule.init_noise_sigma), inputs
        for i in range(len(schedule)):
            sample, timestep = latents * np.float32(schedule.input_scale(i)), schedule.timesteps[i : i + 1]
            now = kept | {"sample": sample, "timestep": timestep.astype(np.int64)}
            run = whole if not interval else full if i % interval == 0 else shallow
            kept = now | run(now)
            update = schedule.move(i, 0).update
            latents, _ = kernels.advance(latents, kept["out_sample"], guidance=1.0, rescale=0.0, update=update)
        return latents

    errors = [relative_error(denoised(0), denoised(interval)) for interval in (1, 2, 3, 10)]
    assert errors[0] == 0
    assert errors == sorted(errors)
    assert errors[2] < 0.2 < errors[3], errors
