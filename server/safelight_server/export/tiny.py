"""Converts a tiny autoencoder (TAESD's kind): its decoder for previews, and its encoder."""

from __future__ import annotations

import shutil
from pathlib import Path

import openvino as ov
import torch
from diffusers import AutoencoderTiny

from safelight_server.errors import LoadError

from . import checkpoint, weight_files

# Each part: its folder, the module, the input's name and channels, and the output's name.
PARTS = (
    ("vae_tiny_decoder", "decoder", ("latent_sample", 4), "sample"),
    ("vae_tiny_encoder", "encoder", ("sample", 3), "latent_sample"),
)


def convert(source: Path, files: list[Path], output: Path, half: bool) -> None:
    """Writes both graphs into sub-folders of `output`, with the names that Optimum gives the ports of a VAE.

    `files`: its weights. `half`: weights in 16 bits. Raises LoadError for a folder that is no AutoencoderTiny.
    """
    try:
        with checkpoint.alone(source, weight_files.MODEL, files) as chosen:
            vae = AutoencoderTiny.from_pretrained(chosen, local_files_only=True).eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise LoadError(f"{source}: cannot be read as an AutoencoderTiny: {str(error).splitlines()[0]}") from None
    for folder, part, (port, channels), result in PARTS:
        module = getattr(vae, part)
        graph = ov.convert_model(
            module, example_input=torch.zeros(1, channels, 16, 16), input=[("x", [-1, channels, -1, -1])]
        )
        graph.inputs[0].get_tensor().set_names({port})
        graph.outputs[0].get_tensor().set_names({result})
        graph.set_friendly_name(folder)
        (output / folder).mkdir(parents=True)
        ov.save_model(graph, output / folder / "openvino_model.xml", compress_to_fp16=half)
        shutil.copyfile(source / "config.json", output / folder / "config.json")
