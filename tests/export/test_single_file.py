"""Single files, as people download them: told, refused, and read as diffusers reads them, without a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safelight_server.errors import LoadError
from safelight_server.export import source
from support.fake_hub import fake_hub
from support.safetensors_files import ONE, whole, write_header

pytest.importorskip("optimum")
pytest.importorskip("accelerate")
pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]  # the libraries' own

KINDS = ("base", "vega", "ssd", "refiner", "inpaint")
VAE = "first_stage_model."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("single")


@pytest.fixture(scope="module")
def pipelines(folder: Path) -> dict[str, Any]:
    from support.exports import quick_and_quiet
    from support.single_files import pipeline

    with quick_and_quiet():
        return {kind: pipeline(kind, folder / "tokenizers") for kind in KINDS}


@pytest.fixture(scope="module")
def files(folder: Path, pipelines: dict[str, Any]) -> dict[str, Path]:
    from support.original_layout import write

    return {kind: write(pipe, folder / f"{kind}.v1.0.safetensors") for kind, pipe in pipelines.items()}


def find(path: Path, **options: Any) -> source.Source:
    return source.find(str(path), None, **{"half": False, "pickles": False, **options})


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_told_by_names_and_shapes(kind: str, files: dict[str, Path], pipelines: dict[str, Any]) -> None:
    found, pipe = find(files[kind]), pipelines[kind]
    assert found.index["_class_name"] == type(pipe).__name__
    for part in found.weights:
        config, theirs = found.read(f"{part}/config.json"), getattr(pipe, part).config
        wanted = theirs.to_dict() if part.startswith("text") else dict(theirs)
        wanted = json.loads(json.dumps(wanted, default=str))
        told = {key for key in config if key in wanted and not key.startswith("_") and key != "architectures"}
        assert {key: config[key] for key in told} == {key: wanted[key] for key in told}
        assert len(told) > 8
    assert found.read("scheduler/scheduler_config.json")["prediction_type"] == "epsilon"


@pytest.mark.parametrize("kind", ["base", "ssd", "refiner"])
def test_every_weight_arrives_under_its_name(
    kind: str, files: dict[str, Path], pipelines: dict[str, Any], tmp_path: Path
) -> None:
    from safelight_server.export import checkpoint, fit

    found = find(files[kind]).placed(tmp_path)
    found.write()
    parts = {part: [str(path) for path in paths] for part, paths in found.weights.items()}
    fit.run(fit.Order(str(found.folder), parts, list(found.single)), lambda done, total: None)
    for part, paths in found.weights.items():
        loaded = getattr(checkpoint.pipeline(found.folder, part, paths, torch.float32, single=True), part)
        wanted = getattr(pipelines[kind], part).state_dict()
        assert loaded.state_dict().keys() == wanted.keys()
        torch.testing.assert_close(loaded.state_dict(), wanted, rtol=0, atol=0)
        assert found.parameters(part) == sum(value.numel() for value in wanted.values())


MARKS: dict[str, tuple[dict[str, str], tuple[str, ...], dict[str, Any]]] = {
    "ComfyUI's keys": ({}, ("v_pred", "ztsnr"), {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}),
    "v alone": ({}, ("v_pred",), {"prediction_type": "v_prediction"}),
    "the model spec": ({"modelspec.prediction_type": "v"}, (), {"prediction_type": "v_prediction"}),
    "epsilon": ({"modelspec.prediction_type": "epsilon"}, (), {"prediction_type": "epsilon"}),
    "kohya's": (
        {"ss_v_parameterization": "True", "ss_zero_terminal_snr": "True"},
        (),
        {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
    ),
    "kohya's, off": ({"ss_v_parameterization": "False"}, (), {"prediction_type": "epsilon"}),
    "Playground's": ({}, ("edm_mean", "edm_std"), {"_class_name": "EDMDPMSolverMultistepScheduler"}),
}


@pytest.mark.parametrize("case", MARKS)
def test_marks_of_the_training_change_the_scheduler(case: str, pipelines: dict[str, Any], tmp_path: Path) -> None:
    from support.original_layout import write

    metadata, keys, changes = MARKS[case]
    path = write(pipelines["base"], tmp_path / "x.safetensors", metadata, **{key: torch.arange(4.0) for key in keys})
    config = find(path).read("scheduler/scheduler_config.json")
    assert {key: config.get(key) for key in changes} == changes
    assert config.get("rescale_betas_zero_snr", False) == changes.get("rescale_betas_zero_snr", False)
    if "edm_std" in keys:
        vae = find(path).read("vae/config.json")
        assert (vae["scaling_factor"], vae["latents_mean"], vae["latents_std"]) == (0.5, [0, 1, 2, 3], [0, 1, 2, 3])


REFUSED: dict[str, tuple[dict[str, tuple[int, ...]] | bytes, str]] = {
    "a LoRA": ({"lora_unet_x.lora_down.weight": (4, 8)}, "is a LoRA: give a checkpoint, and this file with --lora"),
    "a LoRA of PEFT": ({"unet.x.lora_A.weight": (4, 8)}, "is a LoRA: give a checkpoint"),
    "Stable Diffusion 1": (
        {"cond_stage_model.transformer.x": (2,), "model.diffusion_model.x": (2,)},
        "is a checkpoint of Stable Diffusion 1 or 2",
    ),
    "FLUX": ({"double_blocks.0.img_attn.norm.key_norm.scale": (2,)}, "is a checkpoint of FLUX's kind"),
    "a UNet of diffusers": ({"down_blocks.0.resnets.0.conv1.weight": (2,)}, "holds the UNet alone"),
    "a UNet alone": ({"model.diffusion_model.input_blocks.0.0.weight": (2,)}, "holds no text encoders"),
    "a VAE": ({"encoder.conv_in.weight": (2,)}, "holds a VAE alone: give a checkpoint, and this with --vae"),
    "anything": (dict(ONE), "is no checkpoint of SDXL's kind: it holds no UNet (model.diffusion_model.*)"),
    "cut": (whole()[:-1], "is not a whole safetensors file: must have"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of git-LFS"),
    "nothing": (b"", "is not a whole safetensors file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_checkpoint_is_called_what_it_is(case: str, tmp_path: Path) -> None:
    content, why = REFUSED[case]
    path = tmp_path / "model-1.5.safetensors"
    path.write_bytes(content if isinstance(content, bytes) else whole(content))
    assert why in refusal(path)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(LoadError) as raised:
        find(path, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def changed(path: Path, to: Path, change: Callable[[dict[str, tuple[int, ...]]], None]) -> Path:
    """A file of zeros with the names and shapes of another, but for a change."""
    from safelight_server.export import headers

    shapes = dict(headers.read(path).shapes)
    change(shapes)
    return write_header(to / "x.safetensors", shapes)


def without(start: str) -> Callable[[dict[str, tuple[int, ...]]], None]:
    def change(shapes: dict[str, tuple[int, ...]]) -> None:
        for name in [name for name in shapes if name.startswith(start)]:
            del shapes[name]

    return change


CHANGES: dict[str, tuple[Callable[[dict[str, tuple[int, ...]]], None], str]] = {
    "no VAE": (without(VAE), "has no vae, which every model of SDXL's kind has; --vae takes one from elsewhere"),
    "no CLIP": (
        without("conditioner.embedders.0.transformer.text_model.embeddings"),
        "its text_encoder is not of SDXL's kind: it lacks",
    ),
    "few words": (
        lambda shapes: shapes.update({"conditioner.embedders.1.model.token_embedding.weight": (600, 128)}),
        "its text_encoder_2 is not of SDXL's kind: must know the 49408 tokens of CLIP, not 600",
    ),
    "no conditioning": (
        without("model.diffusion_model.label_emb"),
        "its unet is not of SDXL's kind: it lacks 'label_emb",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_a_checkpoint_lacks_is_named(case: str, files: dict[str, Path], tmp_path: Path) -> None:
    change, why = CHANGES[case]
    assert why in refusal(changed(files["base"], tmp_path, change))


def test_a_weight_that_is_not_there_is_named_before_any_is_loaded(files: dict[str, Path], tmp_path: Path) -> None:
    from safelight_server.export import fit

    name = "model.diffusion_model.input_blocks.1.0.in_layers.0.bias"
    found = find(changed(files["base"], tmp_path, without(name))).placed(tmp_path / "small")
    found.write()
    parts = {part: [str(path) for path in paths] for part, paths in found.weights.items()}
    with pytest.raises(LoadError, match=r"does not fit its config.json: it lacks down_blocks.0.resnets.0.norm1.bias"):
        fit.run(fit.Order(str(found.folder), parts, list(found.single)), lambda done, total: None)


def test_a_pickle_is_read_only_if_that_is_allowed(pipelines: dict[str, Any], tmp_path: Path) -> None:
    from support.original_layout import write

    path = write(pipelines["base"], tmp_path / "old.ckpt")
    assert "old.ckpt: is a pickle, and can run code: --allow-pickle reads it, weights only" in refusal(path)
    assert list(find(path, pickles=True).weights) == ["unet", "text_encoder", "text_encoder_2", "vae"]
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert "old.ckpt: cannot be read as weights only" in refusal(path, pickles=True)


def test_a_vae_from_elsewhere(
    files: dict[str, Path], pipelines: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a folder of diffusers, as another file, and for a folder as well."""
    from safetensors.torch import save_file
    from support.original_layout import vae

    bare = changed(files["base"], tmp_path, without(VAE))
    pipelines["vega"].vae.save_pretrained(tmp_path / "fixed")
    save_file({name: value.contiguous() for name, value in vae(pipelines["vega"].vae)}, tmp_path / "vae.safetensors")
    for name in ("fixed", "vae.safetensors"):
        found = find(bare, vae=str(tmp_path / name))
        assert found.weights["vae"][0].is_relative_to(tmp_path / name)
        assert ("vae" in found.single) == (name == "vae.safetensors")
        assert found.parameters("vae") == sum(value.numel() for value in pipelines["vega"].vae.state_dict().values())
    assert "--vae must be a VAE of SDXL's kind" in refusal(bare, vae=str(write_header(tmp_path / "y.safetensors")))


def test_files_that_share_a_part_agree_in_its_digest(
    files: dict[str, Path], pipelines: dict[str, Any], tmp_path: Path
) -> None:
    from support.original_layout import write

    with torch.no_grad():
        pipelines["base"].unet.conv_in.bias += 1
    other = find(write(pipelines["base"], tmp_path / "other.safetensors")).digests()
    with torch.no_grad():
        pipelines["base"].unet.conv_in.bias -= 1
    mine = find(files["base"]).digests()
    same = {name for name in mine if mine[name] == other.get(name)}
    assert {"vae/weights", "text_encoder/weights", "tokenizer/vocab.json"} <= same
    assert "unet/weights" not in same
    assert {"base.v1.0.safetensors", "unet/weights"} <= mine.keys()


def test_a_file_of_a_repository(files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with fake_hub({"someone/models": files["base"].parent}) as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.address)
        template = served.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        found = source.find(f"someone/models/{files['base'].name}", None, half=False, pickles=False)
        assert found.single["unet"].is_symlink()
        with pytest.raises(LoadError, match=r"several files; name one: someone/models/base\.v1\.0\.safetensors, "):
            source.find("someone/models", None, half=False, pickles=False)
    assert {path.rpartition("/")[2] for path in served.asked} == {files["base"].name}


@pytest.fixture(scope="module", params=["base", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:])])
def drawn(
    request: pytest.FixtureRequest, folder: Path, files: dict[str, Path], pipelines: dict[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """A kind; a client of its export; the pipeline that diffusers makes of its file."""
    from safelight import Client
    from support.exports import export, quick_and_quiet
    from support.servers import ServerProcess

    kind = request.param
    with quick_and_quiet():
        pipelines[kind].save_pretrained(folder / f"{kind}-config")  # for its configurations alone
        theirs = type(pipelines[kind]).from_single_file(str(files[kind]), config=str(folder / f"{kind}-config"))
        theirs.set_progress_bar_config(disable=True)
        export(files[kind], folder / kind, "--weights", "f32")
    with (
        ServerProcess(f"--model={kind}={folder / kind}", "--precision=f32", compiles=True) as process,
        Client(process.address) as client,
    ):
        yield kind, client, theirs


def test_a_picture_is_that_of_diffusers_single_file_loading(drawn: tuple[str, Any, Any]) -> None:
    kind, client, theirs = drawn
    words, noise = "a red apple, 50mm", torch.Generator().manual_seed(7)
    settings: dict[str, Any] = {"guidance_scale": 5.0, "steps": 8}
    masked = kind == "inpaint"
    y, x = np.mgrid[0:64, 0:96]
    picture = Image.fromarray(np.stack([y * 2, x * 2, (x + y)], axis=-1).astype(np.uint8))
    mask = Image.fromarray(((x > 40) * 255).astype(np.uint8))
    if kind in ("refiner", "inpaint"):
        ours = client.refine(picture, words, seed=7, strength=0.5, **settings, **({"mask": mask} if masked else {}))
        more: dict[str, Any] = {"mask_image": mask, "width": 96, "height": 64} if masked else {}
        reference = theirs(words, image=picture, strength=0.5, generator=noise, **theirs_are(settings), **more)
    else:
        ours = client.generate(words, seed=7, width=96, height=64, **settings)
        reference = theirs(words, width=96, height=64, generator=noise, **theirs_are(settings))
    a, b = (np.asarray(image.convert("RGB")).astype(int) for image in (ours.image, reference.images[0]))
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= 2
    assert b.std() > 5, "a flat picture would prove nothing"


def theirs_are(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings under the names of diffusers."""
    return {"num_inference_steps" if name == "steps" else name: value for name, value in settings.items()}
