"""Makes the folders that ship of trained weights: Optimum Intel's export in FP16, INT8 by NNCF, shared parts, seals."""

from __future__ import annotations

import gc
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov
import torch
from diffusers import (
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from diffusers.models.attention_processor import AttnProcessor2_0
from optimum.exporters.openvino import main_export
from optimum.intel import OVConfig
from safelight_server.model_folder import seal

from . import diffusion
from .diffusion import Batch, Batches
from .text import Encoders, Tokenizers
from .work import Work

TARGET = Path(__file__).parents[2] / "server" / "safelight_server" / "demo"
LCM_STEPS = (999, 759, 519, 259)  # what LCMScheduler runs in four steps
CALIBRATION = 75  # captions, each seen at all four steps
OWNER = "demo-xl"  # whose text encoders and VAE all read
FP16 = "demo-vega-fp16"  # stays in the work folder, for comparison
DEFAULTS = {
    "demo-xl": {"steps": 25, "guidance_scale": 2.0},
    "demo-refiner": {"steps": 25, "guidance_scale": 1.0},
    "demo-vega": {"steps": 4, "guidance_scale": 1.0},
}


class Trained:
    """Everything that the stages made."""

    def __init__(self, vae: Any, tokenizers: Tokenizers, encoders: Encoders, unets: dict[str, Any], tiny: Any) -> None:
        self.vae, self.tokenizers, self.encoders, self.unets, self.tiny = vae, tokenizers, encoders, unets, tiny

    def pipeline(self, name: str) -> Any:
        """A diffusers pipeline of the model's own class."""
        unet = self.unets[name].float().cpu().eval()
        unet.set_attn_processor(AttnProcessor2_0())  # what Optimum's patches expect
        common = {
            "vae": self.vae.float().cpu(),
            "unet": unet,
            "text_encoder_2": self.encoders.second.float().cpu(),
            "tokenizer_2": self.tokenizers.second,
        }
        if name == "demo-refiner":
            return StableDiffusionXLImg2ImgPipeline(
                text_encoder=None,
                tokenizer=None,
                scheduler=EulerDiscreteScheduler(**diffusion.SCHEDULER),
                requires_aesthetics_score=True,
                force_zeros_for_empty_prompt=True,
                **common,
            )
        scheduler = LCMScheduler if name == "demo-vega" else EulerDiscreteScheduler
        return StableDiffusionXLPipeline(
            text_encoder=self.encoders.first.float().cpu(),
            tokenizer=self.tokenizers.first,
            scheduler=scheduler(**diffusion.SCHEDULER),
            **common,
        )


def run(work: Work, trained: Trained, batches: Batches, latent_rgb: dict[str, Any], target: Path = TARGET) -> None:
    """Writes the folders of the trained models aside, then puts them in the place of those that ship."""
    aside = work / "export"
    shutil.rmtree(aside, ignore_errors=True)
    for name in trained.unets:
        _folder(aside / name, name, trained)
    if "demo-xl" in trained.unets:
        _tiny(aside / OWNER / "vae_tiny_decoder", trained.tiny)
        for encoder in (aside / OWNER).glob("text_encoder*"):
            _rewrite(encoder, nncf.compress_weights)  # half their bytes
    if "demo-vega" in trained.unets:
        shutil.copytree(aside / "demo-vega", aside / FP16)
        _quantize(aside / "demo-vega", batches)
    if "demo-refiner" in trained.unets:
        _rewrite(aside / "demo-refiner" / "unet", nncf.compress_weights)
    for name in trained.unets:
        _tidy(aside / name)
        shutil.rmtree(target / name, ignore_errors=True)
        shutil.copytree(aside / name, target / name)
    for name in DEFAULTS:  # the owner first: the others' seals cover the parts that they read from it
        if (target / name).is_dir():
            _seal(target / name, latent_rgb)
    if "demo-vega" in trained.unets:
        shutil.copytree(target / OWNER, aside / OWNER, dirs_exist_ok=True)
        _seal(aside / FP16, latent_rgb)


def _seal(folder: Path, latent_rgb: dict[str, Any]) -> None:
    defaults = DEFAULTS[folder.name.removesuffix("-fp16")]
    shared = {} if folder.name == OWNER else dict.fromkeys(_shared(folder, folder.with_name(OWNER)), OWNER)
    seal.write(folder, {"defaults": defaults, "latent_rgb": latent_rgb, "shared": shared})


def _shared(folder: Path, owner: Path) -> list[str]:
    """The parts that the owner has and this folder lacks: all UNets of one training read the same."""
    lacking = {path.name for path in owner.iterdir() if path.is_dir()} - {path.name for path in folder.iterdir()}
    first = "text_encoder", "tokenizer"
    return sorted(lacking - set(first if folder.name == "demo-refiner" else ()))


def _folder(folder: Path, name: str, trained: Trained) -> None:
    checkpoint = folder.with_name(f"{name}-checkpoint")
    trained.pipeline(name).save_pretrained(checkpoint)
    task = "image-to-image" if name == "demo-refiner" else "text-to-image"
    main_export(str(checkpoint), output=folder, task=task, library_name="diffusers", ov_config=OVConfig(dtype="fp16"))
    if name != OWNER:
        for part in [path for path in folder.iterdir() if path.is_dir() and path.name not in ("unet", "scheduler")]:
            shutil.rmtree(part)


def _tidy(folder: Path) -> None:
    """Takes out what makes files larger or differ by chance: spaces between tags, numbers in names, paths in JSON."""
    for path in folder.rglob("*.xml"):
        text = re.sub(r">\s+<", "><", path.read_text(encoding="utf-8"))
        path.write_text(re.sub('<net name="Model[0-9]+"', f'<net name="{path.parent.name}"', text), encoding="utf-8")
    for path in folder.rglob("*.json"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if '"_name_or_path"' not in line), encoding="utf-8")


def _tiny(folder: Path, decoder: Any) -> None:
    """Writes the tiny decoder's graph, with the names that Optimum would give its ports."""
    graph = ov.convert_model(
        decoder.float().cpu().eval(), example_input=torch.zeros(1, 4, 16, 16), input=[("x", [-1, 4, -1, -1])]
    )
    graph.inputs[0].get_tensor().set_names({"latent_sample"})
    graph.outputs[0].get_tensor().set_names({"sample"})
    graph.set_friendly_name("vae_tiny_decoder")
    folder.mkdir(parents=True)
    ov.save_model(graph, folder / "openvino_model.xml")
    settings = {"_class_name": "AutoencoderTiny", "latent_channels": 4, "scaling_factor": 1.0}
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _quantize(folder: Path, batches: Batches) -> None:
    """The UNet in INT8, by NNCF's post-training quantization with SmoothQuant, as the VegaRT notebook does."""
    path = folder / "unet" / "openvino_model.xml"
    inputs = calibration(ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}), batches)
    _rewrite(
        folder / "unet",
        lambda graph: nncf.quantize(
            graph, nncf.Dataset(inputs), subset_size=len(inputs), model_type=nncf.ModelType.TRANSFORMER
        ),
    )


def _rewrite(folder: Path, change: Callable[[Any], Any]) -> None:
    """Changes a part's graph. It is written aside first, because the file that is read is mapped."""
    path = folder / "openvino_model.xml"
    aside = path.with_name("changed.xml")
    ov.save_model(change(ov.Core().read_model(path)), aside)
    gc.collect()
    for end in (".xml", ".bin"):
        aside.with_suffix(end).replace(path.with_suffix(end))


def calibration(unet: Any, batches: Batches) -> list[dict[str, np.ndarray]]:
    """The UNet's inputs at all steps of four-step pictures, as the exported graph itself makes them."""
    generator = torch.Generator().manual_seed(20_000)
    seen = []
    for _ in range(CALIBRATION):
        batch = batches.batch(torch.tensor([LCM_STEPS[0]]), generator)
        latents = batch.noise
        for i, time in enumerate(LCM_STEPS):
            at = replace(batch, noisy=latents, time=torch.tensor([time]))
            seen.append(_inputs(at))
            velocity = torch.from_numpy(unet(seen[-1])[0])
            signal, sigma = (level.cpu() for level in diffusion.levels(at.time))
            latents = signal * latents - sigma * velocity
            if i + 1 < len(LCM_STEPS):
                signal, sigma = (level.cpu() for level in diffusion.levels(torch.tensor([LCM_STEPS[i + 1]])))
                latents = signal * latents + sigma * torch.randn(latents.shape, generator=generator)
    return seen


def _inputs(batch: Batch) -> dict[str, np.ndarray]:
    values = {
        "sample": batch.noisy,
        "encoder_hidden_states": batch.features.float(),
        "text_embeds": batch.pooled.float(),
        "time_ids": batch.time_ids,
    }
    return {name: value.cpu().numpy() for name, value in values.items()} | {"timestep": batch.time.cpu().numpy()}
