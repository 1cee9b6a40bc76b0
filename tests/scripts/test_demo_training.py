"""The demo models' trainer: captions, scenes, a run that is stopped and taken up, the judge; and, slowly, all of it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from diffusers import LCMScheduler
from safelight import Client
from support.servers import ServerProcess
from torch import nn

SCRIPTS = Path(__file__).parents[2] / "scripts"
pytest.importorskip("resvg_py")
pytest.importorskip("matplotlib")

from demo_models import base, diffusion, evaluate, export, fit, scenes, shipped, vae, vega  # noqa: E402
from demo_models.captions import COLOURS, caption, held_out  # noqa: E402
from demo_models.icons import SIZE, SMALL, Icons  # noqa: E402
from demo_models.scenes import Scene  # noqa: E402
from demo_models.work import Work  # noqa: E402


@pytest.fixture(scope="module")
def shapes() -> Icons:
    """Three icons: a disc, a bar, a speck; opaque red, green, blue."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    masks = [np.hypot(x, y) < 50, abs(x) < 12, np.hypot(x - 20, y - 20) < 12]
    full = np.zeros((3, 4, SIZE, SIZE), np.uint8)
    for i, mask in enumerate(masks):
        full[i, i] = full[i, 3] = mask * np.uint8(255)
    return Icons(["disc", "bar", "speck"], full, full[:, :, :SMALL, :SMALL])


def test_a_caption_says_the_name_and_the_colour() -> None:
    choice = random.Random(0)
    for _ in range(200):
        text = caption("owl", "teal", choice)
        assert "owl" in text
        assert "teal" in text
        assert "a owl" not in text
    assert any("teal" not in caption("owl", "white", choice) for _ in range(20))
    assert caption("owl", "teal", choice, small=True).split("owl")[0].strip().endswith(("small", "tiny", "little"))


def test_one_pair_in_twenty_is_held_out_and_white_never() -> None:
    names = [f"thing {i}" for i in range(500)]
    share = np.mean([held_out(name, colour) for name in names for colour in COLOURS if colour != "white"])
    assert 0.04 < share < 0.06
    assert not any(held_out(name, "white") for name in names)


def test_scenes_show_what_they_tell(shapes: Icons) -> None:
    plain = scenes.draw(shapes, Scene(2, "white"))
    moved = scenes.draw(shapes, Scene(2, "white", crop=(10, 30)))
    torch.testing.assert_close(moved[:, :-30, :-30], plain[:, 10:-20, 30:])
    assert Scene(0, "red", original=(32, 64), crop=(1, 2)).time_ids() == [32, 64, 1, 2, SIZE, SIZE]
    dull = scenes.draw(shapes, Scene(2, "white", original=(16, 16)))
    assert dull.diff(dim=2).square().mean() < 0.5 * plain.diff(dim=2).square().mean()
    corner = (plain[:, 0, 0] + 1) * 127.5
    torch.testing.assert_close(corner, torch.tensor(COLOURS["white"], dtype=torch.float32))


def test_a_run_taken_up_again_ends_as_one_that_was_not_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "SAVE_EVERY", 0.0)
    recipe = fit.Recipe(steps=6, rate=0.01, warmup=2)

    def trained(name: str, loss: fit.Loss) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        work = Work(tmp_path / name)
        weights: dict[str, torch.Tensor] = fit.fit(
            "linear", work, nn.Linear(4, 4), recipe, loss, lambda model, path: None
        ).state_dict()
        return weights

    def loss(model: nn.Module, generator: torch.Generator) -> torch.Tensor:
        given: torch.Tensor = model(torch.randn(8, 4, generator=generator))
        return (given.float() - 1).square().mean()

    def stopping(after: int) -> Callable[[nn.Module, torch.Generator], torch.Tensor]:
        seen = []

        def stops(model: nn.Module, generator: torch.Generator) -> torch.Tensor:
            seen.append(1)
            if len(seen) > after:
                raise KeyboardInterrupt
            return loss(model, generator)

        return stops

    whole = trained("whole", loss)
    with pytest.raises(KeyboardInterrupt):
        trained("stopped", stopping(3))
    again = trained("stopped", loss)
    torch.testing.assert_close(again, whole, rtol=0, atol=0)
    assert (tmp_path / "stopped" / "linear" / "checkpoint.pt").is_file()


def test_noise_levels_and_consistency_are_those_of_diffusers() -> None:
    scheduler = LCMScheduler(**diffusion.SCHEDULER)
    torch.testing.assert_close(diffusion.ALPHAS, scheduler.alphas_cumprod)
    scheduler.set_timesteps(4)
    torch.manual_seed(0)
    batch = diffusion.Batch(
        noisy=torch.randn(1, 4, 16, 16),
        time=scheduler.timesteps[1:2],
        features=torch.zeros(1, 1, 1),
        pooled=torch.zeros(1, 1),
        time_ids=torch.zeros(1, 6),
        clean=torch.zeros(1),
        noise=torch.zeros(1),
    )
    velocity = torch.randn(1, 4, 16, 16)
    wanted = scheduler.step(velocity, int(batch.time), batch.noisy).denoised
    given = vega.consistency(lambda *args, **named: (velocity,), batch)
    torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-5)


def test_the_judge_knows_the_truth_when_it_sees_it(shapes: Icons) -> None:
    judge = evaluate.Judge(shapes)
    for request in evaluate.shown_pairs(shapes.names) + evaluate.unseen_pairs(shapes.names):
        truth = judge.truth(request)
        assert judge.nearest(truth, request.colour) == request.icon
        assert evaluate.background(truth) == request.colour
        assert evaluate.decibels(truth, truth) > 60


def test_the_weights_that_ship_come_back_as_those_of_torch(tmp_path: Path) -> None:
    """A restored stage has the outputs of the exported graph, and the steps of the card."""
    work = Work(tmp_path)
    for stage in ("vae", "base"):
        shipped.restore(work, stage, export.TARGET)
    kept = {stage: torch.load(work / stage / "checkpoint.pt", weights_only=True) for stage in ("vae", "base")}
    assert kept["base"]["step"] >= base.RECIPE.steps
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 16, 16, generator=generator)
    conditions = {"text_embeds": torch.randn(2, 160, generator=generator), "time_ids": torch.full((2, 6), 128.0)}
    features, times = torch.randn(2, 32, 256, generator=generator), torch.tensor([500, 20])
    unet, autoencoder = base.build().eval(), vae.build().eval()
    unet.load_state_dict(kept["base"]["average"])
    autoencoder.load_state_dict(kept["vae"]["average"])
    inputs = {"sample": latents, "timestep": times, "encoder_hidden_states": features, **conditions}
    with torch.no_grad():
        answer = unet(latents, times, features, added_cond_kwargs=conditions).sample
        picture = autoencoder.decode(latents[:1]).sample
    np.testing.assert_allclose(answer, outputs_of("unet", inputs), atol=5e-3)
    np.testing.assert_allclose(picture, outputs_of("vae_decoder", {"latent_sample": latents[:1]}), atol=1e-3)


def outputs_of(part: str, inputs: dict[str, torch.Tensor]) -> np.ndarray:
    path = export.TARGET / "demo-xl" / part / "openvino_model.xml"
    request = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    request.start_async({name: value.numpy() for name, value in inputs.items()})
    request.wait()
    return np.array(request.get_output_tensor(0).data)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_stage_runs_and_what_comes_out_is_served(tmp_path: Path) -> None:
    """Needs npm's registry. Nothing worth looking at is drawn after two steps of each stage."""
    command = [
        sys.executable,
        "-m",
        "demo_models",
        "--quick",
        "--work",
        str(tmp_path / "w"),
        "--target",
        str(tmp_path / "d"),
    ]
    subprocess.run(command, check=True, cwd=SCRIPTS)
    models = [f"--model={name}={tmp_path / 'd' / name}" for name in ("demo-xl", "demo-vega", "demo-refiner")]
    with ServerProcess(*models, compiles=True) as process, Client(process.address) as client:
        assert client.generate("an owl", refiner="demo-refiner").image.size == (SIZE, SIZE)
        assert client.generate("an owl", model="demo-vega").image.size == (SIZE, SIZE)
