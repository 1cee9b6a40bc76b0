"""The names under which a LoRA's file may mean a module: diffusers', the original ones of SGM, and kohya's of both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from safelight_server.export.headers import Shape

PARTS = ("unet", "text_encoder", "text_encoder_2")  # of a pipeline: what a LoRA may change

Targets = Mapping[str, Shape]  # the shape of each module's weight, by the module's name in diffusers or transformers
Aliases = dict[str, str]  # a module's name by each of its other names, with "_" for "."

# What comes before a module's name, and the parts of a pipeline that it may mean. The first that fits counts.
PREFIXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("lora_unet_", ("unet",)),
    ("lora_te1_", ("text_encoder",)),
    ("lora_te2_", ("text_encoder_2",)),
    ("lora_te_", ("text_encoder",)),
    ("lycoris_unet_", ("unet",)),
    ("lycoris_te1_", ("text_encoder",)),
    ("lycoris_te2_", ("text_encoder_2",)),
    ("lycoris_", ("unet",)),
    ("model.diffusion_model.", ("unet",)),
    ("diffusion_model.", ("unet",)),
    ("text_encoders.clip_l.transformer.", ("text_encoder",)),
    ("text_encoders.clip_g.transformer.", ("text_encoder_2",)),
    ("text_encoder_2.", ("text_encoder_2",)),
    ("text_encoder_1.", ("text_encoder",)),
    ("text_encoder.", ("text_encoder",)),
    ("te1.", ("text_encoder",)),
    ("te2.", ("text_encoder_2",)),
    ("unet.", ("unet",)),
    ("", PARTS),
)
WRAPPER = "base_model.model."  # what PEFT puts before all else
PROCESSOR = ".processor."  # diffusers once kept the factors of attention in objects of their own

# Inside a block: diffusers' name, and the one of SGM (the original code of SDXL, generative-models).
RESNET = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
)
OUTER = (
    ("conv_in", "input_blocks.0.0"),
    ("conv_norm_out", "out.0"),
    ("conv_out", "out.2"),
    ("time_embedding.linear_1", "time_embed.0"),
    ("time_embedding.linear_2", "time_embed.2"),
    ("add_embedding.linear_1", "label_emb.0.0"),
    ("add_embedding.linear_2", "label_emb.0.2"),
)
# diffusers' old names of attention's layers, in the UNet and in text encoders.
OLD = (("to_out.0", "to_out"), ("q_proj", "to_q"), ("k_proj", "to_k"), ("v_proj", "to_v"), ("out_proj", "to_out"))


def targets_of(shapes: Mapping[str, Shape]) -> Targets:
    """The modules with weights, of a part with weights and biases of these names and shapes."""
    return {name.removesuffix(".weight"): shape for name, shape in shapes.items() if name.endswith(".weight")}


def aliases(targets: Targets) -> Aliases:
    """All names of all modules, written with "_" for "."."""
    blocks = dict(_blocks(targets))
    found: Aliases = {}
    for module in targets:
        for name in _names(module, blocks):
            found.setdefault(name.replace(".", "_"), module)
    return found | {module.replace(".", "_"): module for module in targets}


def parts_of(stem: str) -> tuple[tuple[str, ...], str]:
    """The parts that a name may belong to, and the rest of the name, with "_" for "."."""
    stem = stem.removeprefix(WRAPPER)
    prefix, parts = next((prefix, parts) for prefix, parts in PREFIXES if stem.startswith(prefix))
    return parts, stem.removeprefix(prefix).removeprefix(WRAPPER).replace(PROCESSOR, ".").replace(".", "_")


def _names(module: str, blocks: Mapping[str, str]) -> Iterator[str]:
    for name in (module, module.removeprefix("text_model.")):
        yield name
        yield f"text_model.{name}"  # which releases of transformers have, and which not
        yield from (name.removesuffix(new) + old for new, old in OLD if name.endswith(f".{new}"))
    for block, original in (*blocks.items(), *OUTER):
        if module == block or module.startswith(f"{block}."):
            inside = module.removeprefix(block)
            yield original + inside
            yield from (original + "." + old for new, old in RESNET if inside == f".{new}")


def _blocks(targets: Iterable[str]) -> Iterator[tuple[str, str]]:
    """diffusers' name and SGM's of each block of a UNet, as far as the modules are there.

    SGM numbers all resnets and samplers of one side in a row, and puts the attention beside its resnet.
    """
    found = sorted({match[0] for name in targets if (match := re.match(r"(down|up)_blocks\.\d+\.\w+\.\d+", name))})
    for side, original, after in (("down", "input_blocks", 1), ("up", "output_blocks", 0)):
        for block in range(1 + max((int(name.split(".")[1]) for name in found if name.startswith(side)), default=-1)):
            stem = f"{side}_blocks.{block}"
            count = sum(name.startswith(f"{stem}.resnets.") for name in found)
            attends = any(name.startswith(f"{stem}.attentions.") for name in found)
            for i in range(count):
                yield f"{stem}.resnets.{i}", f"{original}.{after + i}.0"
                yield f"{stem}.attentions.{i}", f"{original}.{after + i}.1"
            after += count
            yield f"{stem}.upsamplers.0", f"{original}.{after - 1}.{2 if attends else 1}"
            if f"{stem}.downsamplers.0" in found:
                yield f"{stem}.downsamplers.0.conv", f"{original}.{after}.0.op"
                after += 1
    yield "mid_block.resnets.0", "middle_block.0"
    yield "mid_block.attentions.0", "middle_block.1"
    yield "mid_block.resnets.1", "middle_block.2"
