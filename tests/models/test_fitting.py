"""Graphs as other tools save them draw the same bytes; what cannot be fitted is refused by the name of its input."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from openvino.preprocess import PrePostProcessor
from PIL import Image
from safelight_server import demo
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.engine.engine import Engine
from safelight_server.errors import LoadError
from safelight_server.lanes.lane import Lane
from safelight_server.model_folder import model_config
from safelight_server.models import fitting, loader
from support import compiled
from support.engines import XL, draw
from support.files import with_own
from support.networks import allow_all_batches

CORE = ov.Core()
JOB = replace(XL, size=(64, 64), steps=2, guidance=4.0)
Change = Callable[[Any], Any]


def reshaped(**shapes: list[int]) -> Change:
    def change(graph: Any) -> Any:
        graph.reshape(shapes)
        return graph

    return change


def in_half(graph: Any) -> Any:
    """With float16 inputs and outputs."""
    wrapped = PrePostProcessor(graph)
    for port in graph.inputs:
        if port.element_type == ov.Type.f32:
            wrapped.input(port.any_name).tensor().set_element_type(ov.Type.f16)
    for index in range(len(graph.outputs)):
        wrapped.output(index).tensor().set_element_type(ov.Type.f16)
    return wrapped.build()


def with_scalar_timestep(graph: Any) -> Any:
    """As Optimum exported it before it gave the timestep an axis."""
    old = next(one for one in graph.get_parameters() if "timestep" in one.output(0).names)
    scalar = ops.parameter([], old.get_element_type(), name="timestep_of_all")
    axis = ops.unsqueeze(scalar, np.array([0]))
    for reader in old.output(0).get_target_inputs():
        reader.replace_source_output(axis.output(0))
    graph.remove_parameter(old)
    graph.add_parameters([scalar])
    scalar.output(0).get_tensor().set_names({"timestep"})
    graph.validate_nodes_and_infer_types()
    return graph


def saved(folder: Path, part: str, change: Change) -> Path:
    """demo-xl with one graph saved anew."""
    path = with_own(part, demo.FOLDERS["demo-xl"], folder) / part / "openvino_model.xml"
    graph = change(CORE.read_model(path))
    ov.save_model(graph, folder / part / "new.xml", compress_to_fp16=True)
    del graph
    for end in ("xml", "bin"):
        (folder / part / f"new.{end}").replace(path.with_suffix(f".{end}"))
    return folder


def load(folder: Path) -> Pipeline:
    config = model_config.read(folder)
    return loader.load("demo-xl", config, Lane("CPU"), compiled.device(of="fitting"), lambda what: None, max_edge=512)


def drawn(model: Pipeline, *seeds: int) -> list[bytes]:
    """One picture a seed, all at the same time, and joined wherever that is possible."""
    allow_all_batches(model)

    async def all_together() -> list[list[bytes]]:
        engine = Engine({"demo-xl": model}, slots=8, queue=8)
        jobs = (replace(JOB, id=str(seed), seeds=(seed,), steps=2 + seed % 2) for seed in seeds)
        return await asyncio.gather(*(draw(engine, job) for job in jobs))

    return [picture for pictures in asyncio.run(all_together()) for picture in pictures]


def pixels(files: list[bytes]) -> list[bytes]:
    """The files say which models drew them; the pixels do not."""
    return [Image.open(io.BytesIO(file)).tobytes() for file in files]


SAVED: dict[str, tuple[str, Change]] = {
    "one timestep": ("unet", reshaped(timestep=[1])),
    "a scalar timestep": ("unet", with_scalar_timestep),
    "two rows": ("unet", reshaped(sample=[2, 4, -1, -1], encoder_hidden_states=[2, 32, -1])),
    "any number of tokens": ("unet", reshaped(encoder_hidden_states=[-1, -1, 256])),
    "one size": ("unet", reshaped(sample=[-1, 4, 16, 16])),
    "a decoder of one size": ("vae_decoder", reshaped(latent_sample=[1, 4, 16, 16])),
    "a decoder of one row": ("vae_decoder", reshaped(latent_sample=[1, 4, -1, -1])),
}


@pytest.fixture(scope="module")
def want() -> list[bytes]:
    folder = demo.FOLDERS["demo-xl"]
    return drawn(load(folder), 1, 2, 4)


@pytest.mark.parametrize("case", SAVED)
def test_a_graph_as_another_tool_saves_it_draws_the_same(case: str, want: list[bytes], tmp_path: Path) -> None:
    part, change = SAVED[case]
    assert pixels(drawn(load(saved(tmp_path / "model", part, change)), 1, 2, 4)) == pixels(want)


@pytest.mark.parametrize("part", ["unet", "text_encoder", "vae_decoder"])
def test_half_precision_inputs_and_outputs_are_converted(part: str, tmp_path: Path) -> None:
    model = load(saved(tmp_path / "model", part, in_half))
    assert drawn(model, 1)[0][:4] == b"\x89PNG"


def test_rows_of_several_timesteps_are_not_joined_where_the_graph_has_one_for_all(tmp_path: Path) -> None:
    model = load(saved(tmp_path / "model", "unet", with_scalar_timestep))
    assert model.networks.unet.shapes["timestep"] == ()


def test_an_encoder_of_one_row_and_so_many_tokens(want: list[bytes], tmp_path: Path) -> None:
    """OpenVINO rounds otherwise where it knows the number of tokens beforehand."""
    model = load(saved(tmp_path / "model", "text_encoder_2", reshaped(input_ids=[1, 32])))
    assert model.networks.encoders[1].network.shapes["input_ids"] == (-1, 32)
    pictures = [
        [np.asarray(Image.open(io.BytesIO(data)), np.int16) for data in files] for files in (drawn(model, 1), want)
    ]
    assert abs(pictures[0][0] - pictures[1][0]).max() <= 2


def for_one_chunk(graph: Any) -> Any:
    """With the number of tokens folded into it."""
    text = next(one for one in graph.get_parameters() if "encoder_hidden_states" in one.output(0).names)
    fixed = ops.reshape(text, np.array([0, 32, 256]), special_zero=True)
    for reader in text.output(0).get_target_inputs():
        if reader.get_node().get_name() != fixed.get_name():
            reader.replace_source_output(fixed.output(0))
    graph.validate_nodes_and_infer_types()
    return graph


def test_a_graph_that_reads_one_chunk_alone_says_so_and_draws(want: list[bytes], tmp_path: Path) -> None:
    model = load(saved(tmp_path / "model", "unet", for_one_chunk))
    assert model.info.limits.max_chunks == 1
    assert pixels(drawn(model, 1, 2, 4)) == pixels(want)


def fixed_for_good() -> Any:
    """A graph with its two rows folded into it."""
    sample = ops.parameter([2, 4, -1, -1], np.float32, name="sample")
    sample.output(0).get_tensor().set_names({"sample"})
    two = ops.concat([sample, ops.constant(np.zeros((2, 4, 8, 8), np.float32))], 1)
    return ov.Model([ops.result(two)], [sample], "fixed")


def test_what_cannot_be_fitted_is_refused_by_its_name() -> None:
    with pytest.raises(LoadError, match=r"x\.xml: input sample takes \[2,4,\?,\?\] alone"):
        fitting.fit(fixed_for_good(), "unet", Path("x.xml"))


def test_an_input_that_nothing_fills_is_refused_by_its_name() -> None:
    graph = fixed_for_good()
    mask = ops.parameter([-1, 77], np.int64, name="attention_mask")
    mask.output(0).get_tensor().set_names({"attention_mask"})
    graph.add_parameters([mask])
    with pytest.raises(LoadError, match="has an input attention_mask"):
        fitting.fit(graph, "unet", Path("x.xml"))


def test_a_graph_that_fits_is_left_as_it_is() -> None:
    graph = CORE.read_model(demo.FOLDERS["demo-xl"] / "unet/openvino_model.xml")
    graph.reshape({"encoder_hidden_states": [-1, -1, 256]})
    before = {port.any_name: str(port.partial_shape) for port in graph.inputs}
    fitted = fitting.fit(graph, "unet", Path("x.xml"))
    assert fitted is graph
    assert {port.any_name: str(port.partial_shape) for port in fitted.inputs} == before
