"""Makes checkpoints of the weights that ship: training can go on from these where its own checkpoints are gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openvino as ov
import torch
from torch import nn

from . import base, card, fit, icons, refiner, text, vae
from .work import Work

# The graphs that hold a stage's weights, each with what its names begin with in the stage's module. Stages whose
# weights ship quantized for speed (demo-vega) or are small (the tiny decoder) are trained again.
GRAPHS = {
    "vae": {"demo-xl/vae_encoder": "", "demo-xl/vae_decoder": ""},
    "text": {"demo-xl/text_encoder": "encoders.first.", "demo-xl/text_encoder_2": "encoders.second."},
    "base": {"demo-xl/unet": ""},
    "refiner": {"demo-refiner/unet": ""},
}
MODULES: dict[str, tuple[Callable[[Work], nn.Module], fit.Recipe]] = {
    "vae": (lambda work: vae.build(), vae.RECIPE),
    "text": (lambda work: text.Taught(len(text.Tokenizers(icons.load(work).names))), text.RECIPE),
    "base": (lambda work: base.build(), base.RECIPE),
    "refiner": (lambda work: refiner.build(base.build()), refiner.RECIPE),
}
NAMED = re.compile(r"self\.(?:model\.)?([\w.]+?)(?:_compressed)?")
# The weights that PyTorch's front end names after the operation that uses them.
USED = re.compile(r"__module\.(?:model\.)?(.+)/aten::(linear|_convolution|layer_norm)/(Add|Multiply_1)")


def restore(work: Work, stage: str, folder: Path) -> None:
    """Writes a stage's checkpoint from the exported folders, with the steps and hours of their card."""
    build, recipe = MODULES[stage]
    module = build(work)
    state = module.state_dict()
    for graph, prefix in GRAPHS[stage].items():
        for name, value in weights(folder / graph / "openvino_model.xml").items():
            shape = state[prefix + name].shape  # biases are stored with axes of one, a bias of zeros as one zero
            state[prefix + name] = value.reshape(shape) if value.numel() > 1 else value.expand(shape)
    module.load_state_dict(state)
    run = fit.Run(work / stage, module, recipe)  # its optimizer starts anew
    run.step, run.seconds = card.training_of(folder, stage)
    run.save()


def weights(graph: Path) -> dict[str, torch.Tensor]:
    """An exported graph's weights in float32, under the names of the torch module that it came from."""
    model = ov.Core().read_model(graph)
    named = dict(_outputs(model))
    constants = ov.Core().compile_model(ov.Model(list(named.values()), []), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(
        {}
    )
    values = (torch.from_numpy(constants[at].copy()).float() for at in range(len(named)))
    return dict(zip(named, values, strict=True))


def _outputs(model: Any) -> Iterator[tuple[str, Any]]:
    """The name of every weight, and the output that has its value: after a stored one is widened or scaled."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant":
            continue
        output = node.output(0)
        while (user := _user(output)) is not None and _constant(user):
            output = user.output(0)
        if match := NAMED.fullmatch(node.get_friendly_name()):
            yield match[1], output
        elif user is not None and (used := USED.fullmatch(user.get_friendly_name())):
            yield f"{used[1]}.{'weight' if used[3] == 'Multiply_1' else 'bias'}", output


def _user(output: Any) -> Any:
    return next((port.get_node() for port in output.get_target_inputs()), None)


def _constant(node: Any) -> bool:
    """Whether a node is part of how a constant is stored: in 16 bits, or in 8 with a zero point and a scale."""
    if node.get_type_name() not in ("Convert", "Subtract", "Multiply"):
        return node.get_type_name() == "Constant"
    return all(_constant(port.get_source_output().get_node()) for port in node.inputs())
