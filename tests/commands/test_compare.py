"""safelight-server compare on real folders: the same, a demo model, another model, one with noise on its weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from safelight_server import demo
from safelight_server.commands.compare import EMOJI, PROMPTS
from safelight_server.compare import parts
from safelight_server.compare.quality import psnr, ssim
from safelight_server.model_folder.model_config import read
from safelight_server.models import batch_profile
from safelight_server.models.device import Device
from support import compiled
from support.command_line import Ran, run

VEGA = demo.FOLDERS["demo-vega"]
ASKED = (
    "a red apple",
    "an owl on a teal background, and a long line of words that needs more than one line of the sheet",
)


@dataclass(frozen=True)
class Compared:
    """A run of the command, and the folder that it wrote to."""

    ran: Ran
    folder: Path

    @property
    def figures(self) -> Any:
        return json.loads((self.folder / "figures.json").read_text(encoding="utf-8"))


def arguments(folder: Path, a: Any, b: Any, *options: str) -> list[str]:
    """Those of a comparison with our two prompts, to be run in the folder."""
    (folder / "prompts.txt").write_text("\n\n".join(ASKED) + "\n", encoding="utf-8")
    return ["compare", str(a), str(b), "--prompts=prompts.txt", "--json=figures.json", *options]


def compare(folder: Path, a: Any, b: Any, *options: str) -> Compared:
    given = arguments(folder, a, b, *options)
    with chdir(folder):
        return Compared(run(*given), folder)


def noisy(folder: str, target: Path, share: float) -> Path:
    """A copy whose UNet has noise on its weights, `share` of each one's own spread."""
    shutil.copytree(folder, target)
    weights = np.memmap(target / "unet" / "openvino_model.bin", np.uint8, "r+")
    random = np.random.default_rng(0)
    for constant in ElementTree.parse(target / "unet" / "openvino_model.xml").iterfind(
        "layers/layer[@type='Const']/data"
    ):
        begin, size = int(constant.attrib["offset"]), int(constant.attrib["size"])
        if constant.attrib["element_type"] == "f32" and size > 1000:  # the small ones are numbers of the graph
            values = weights[begin : begin + size].view(np.float32)
            values += share * values.std() * random.standard_normal(values.shape, np.float32)
    weights.flush()
    return target


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """In this process, no graph is compiled twice, and no batches are measured: these draw one picture at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("safelight_server.commands.compare.Device", partial(Device, cache=compiled.folder("compare")))
        patch.setattr(batch_profile, "PATIENCE", 0.0)
        yield


@pytest.fixture(scope="module")
def base(folders: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """A tiny model against itself, two seeds, drawn twice; the command in a process of its own."""
    folder = tmp_path_factory.mktemp("same")
    options = ("--steps=3", "--size=96x64", "--seeds=2", "--repeats=2", "--precision=f32", "--guidance=4")
    command = [sys.executable, "-m", "safelight_server", *arguments(folder, folders["base"], folders["base"], *options)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return Compared(Ran(done.returncode, done.stdout, done.stderr), folder)


@pytest.fixture(scope="module")
def others(folders: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """A tiny model against one with another UNet and another scheduler, at twice the sheet's scale."""
    options = ("--steps=2", "--size=128x128", "--precision=f32")
    return compare(tmp_path_factory.mktemp("others"), folders["base"], folders["vega_lcm"], *options)


def test_a_model_is_identical_to_itself(base: Compared) -> None:
    assert (base.ran.code, base.ran.err) == (0, "")
    quality = base.figures["quality"]
    assert quality == {
        "identical": 4,
        "psnr": {"median": None, "worst": None},
        "ssim": {"median": 1.0, "worst": 1.0},
        "latents": {"median": [0.0] * 3, "worst": [0.0] * 3},
        "one_step": {"median": [0.0] * 3, "worst": [0.0] * 3},
    }
    lines = [line.split() for line in base.ran.out.splitlines()]
    assert ["PSNR,", "dB", "identical", "identical"] in lines
    assert ["SSIM", "1.0000", "1.0000"] in lines
    assert ["3", "0", "0", "0", "0"] in lines
    assert base.ran.out.endswith("\nsheet: compare.png\nfigures: figures.json\n")


def test_the_figures_say_all(base: Compared, folders: dict[str, str]) -> None:
    figures = base.figures
    assert set(figures) == {"date", "machine", "versions", "settings", "models", "quality", "pictures"}
    assert {"safelight_server", "openvino", "numpy", "python"} == set(figures["versions"])
    assert set(figures["machine"]["load_average"]) == {"before", "after"}
    assert figures["settings"] == {
        "width": 96,
        "height": 64,
        "steps": 3,
        "guidance_scale": 4.0,
        "scheduler": "euler",
        "prompts": 2,
        "seeds": 2,
        "repeats": 2,
    }
    for name in "AB":
        model = figures["models"][name]
        assert (model["folder"], model["device"], model["precision"]) == (folders["base"], "CPU", "f32")
        counts = {stage: spread["count"] for stage, spread in model["seconds"].items()}
        assert counts == {"encode": 8, "step": 24, "decode": 8, "picture": 8}
        unet = Path(folders["base"], "unet")
        assert model["bytes"]["unet"] == sum(path.stat().st_size for path in unet.glob("openvino_model.*"))
        assert model["bytes"].pop("all") == sum(model["bytes"].values())
    assert [(picture["prompt"], picture["seed"]) for picture in figures["pictures"]] == [
        (ASKED[0], 0),
        (ASKED[0], 1),
        (ASKED[1], 2),
        (ASKED[1], 3),
    ]


def test_the_sheet_has_a_column_for_each_prompt(base: Compared) -> None:
    with Image.open(base.folder / "compare.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.size == (640, 16 + 60 + 62 + 3 * (171 + 8) + 16)  # a 96x64 picture is 256x171 in it
        pixels = np.asarray(sheet)
    rows = [pixels[top : top + 171, 42 : 42 + 256] for top in (138, 138 + 179, 138 + 2 * 179)]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert rows[0].std() > 1
    assert not rows[2].any()  # no difference is black


def test_what_each_part_does_by_itself(folders: dict[str, str], tmp_path: Path) -> None:
    """B is A but for noise on its UNet's weights: all of the difference is its own, and the others change nothing."""
    model = noisy(folders["base"], tmp_path / "noisy", 0.1)
    (tmp_path / "out").mkdir()
    compared = compare(
        tmp_path / "out", folders["base"], model, "--steps=2", "--size=64x64", "--precision=f32", "--parts"
    )
    assert compared.ran.code == 0, compared.ran.err
    quality = compared.figures["quality"]
    assert quality["parts"]["unet"] == {"psnr": quality["psnr"], "ssim": quality["ssim"]}
    same = {"psnr": {"median": None, "worst": None}, "ssim": {"median": 1.0, "worst": 1.0}}
    assert quality["parts"]["text"] == quality["parts"]["vae"] == same
    rows = [line.split() for line in compared.ran.out.splitlines()]
    assert ["vae", "alone,", "dB", "identical", "identical"] in rows


def test_parts_that_are_the_same_files_are_not_drawn(tmp_path: Path) -> None:
    """demo-vega reads its text encoders and its VAE from demo-xl's folder."""
    xl = read(demo.FOLDERS["demo-xl"])
    assert parts.changed(xl, read(VEGA)) == ["unet"]
    assert parts.changed(xl, xl) == []


def test_a_demo_model_against_itself(tmp_path: Path) -> None:
    compared = compare(tmp_path, VEGA, VEGA, "--sheet=vega.png")
    assert (compared.ran.code, compared.ran.err) == (0, "")
    figures = compared.figures
    assert (figures["settings"]["steps"], figures["settings"]["scheduler"], figures["settings"]["width"]) == (
        4,
        "lcm",
        128,
    )
    assert figures["quality"]["identical"] == 2
    assert figures["models"]["A"]["bytes"]["vae_decoder"] > 1_000_000  # which demo-xl's folder shares
    with Image.open(tmp_path / "vega.png") as sheet:
        assert sheet.size == (640, 16 + 60 + 62 + 3 * 264 + 16)


def test_two_models_take_the_same_steps(others: Compared) -> None:
    """B has another scheduler, and is drawn with A's."""
    assert (others.ran.code, others.ran.err) == (0, "")
    figures = others.figures
    assert (figures["settings"]["scheduler"], figures["settings"]["guidance_scale"]) == ("euler", 5.0)
    quality = figures["quality"]
    assert quality["identical"] == 0
    assert 0 < quality["psnr"]["worst"] <= quality["psnr"]["median"] < 100
    assert -1 < quality["ssim"]["worst"] <= quality["ssim"]["median"] < 1
    for errors in (quality["latents"], quality["one_step"]):
        assert all(0 < median <= worst for median, worst in zip(errors["median"], errors["worst"], strict=True))
    assert figures["models"]["B"]["bytes"].keys() != figures["models"]["A"]["bytes"].keys()  # it has no tiny decoder


def test_the_sheet_shows_what_the_figures_measure(others: Compared) -> None:
    """At twice the picture's own size each pixel is a square of four, so that the sheet can be measured itself."""
    with Image.open(others.folder / "compare.png") as sheet:
        pixels = np.asarray(sheet)
    a, b, difference = (pixels[top : top + 256 : 2, 42 : 42 + 256 : 2] for top in (138, 402, 666))
    picture = others.figures["pictures"][0]
    assert psnr(a, b) == pytest.approx(picture["psnr"])
    assert ssim(a, b) == pytest.approx(picture["ssim"])
    np.testing.assert_array_equal(difference, np.minimum(4 * np.abs(a.astype(int) - b), 255))


def test_more_noise_on_the_weights_is_more_error(folders: dict[str, str], tmp_path: Path) -> None:
    found = []
    for name, share in (("little", 0.001), ("much", 0.1)):
        (tmp_path / f"out-{name}").mkdir()
        model = noisy(folders["base"], tmp_path / name, share)
        compared = compare(tmp_path / f"out-{name}", folders["base"], model, "--steps=3", "--precision=f32")
        assert compared.ran.code == 0, compared.ran.err
        found.append(compared.figures["quality"])
    little, much = found
    for of in ("latents", "one_step"):
        assert all(0 < few < many for few, many in zip(little[of]["worst"], much[of]["median"], strict=True))
    # B by itself goes astray step by step.
    assert little["latents"]["median"][0] < little["latents"]["median"][2]
    assert much["ssim"]["median"] < little["ssim"]["worst"] <= 1
    assert much["psnr"]["median"] < (little["psnr"]["worst"] or 1000)


@pytest.mark.parametrize(
    ("a", "b", "options", "text"),
    [
        ("base", "refiner", (), "must be a base model, which starts from noise, not of kind refiner"),
        ("inpaint", "base", (), "must be a base model, which starts from noise, not of kind inpaint"),
        ("base", "zero_snr", (), "prediction_type must be that of"),
        ("base", "nowhere", (), "is not there"),
        ("base", "base", ("--sheet=compare.jpg",), "--sheet must end in .png, not compare.jpg"),
        ("base", "base", ("--json=nowhere/x.json",), "--json must lie in a folder that is there, not nowhere/x.json"),
        ("base", "base", ("--prompts=nowhere.txt",), "nowhere.txt"),
        ("base", "base", ("--prompts=/dev/null",), "--prompts must have one prompt a line, and /dev/null has none"),
    ],
)
def test_refusals(folders: dict[str, str], tmp_path: Path, a: str, b: str, options: tuple[str, ...], text: str) -> None:
    ran = compare(tmp_path, folders[a], folders.get(b, b), *options).ran
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("safelight-server: ")
    assert text in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "compare.png").exists()


def test_another_latent_space_is_refused(folders: dict[str, str], tmp_path: Path) -> None:
    other = shutil.copytree(folders["base"], tmp_path / "other")
    config = other / "vae_decoder" / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    for field, value, text in (
        ("block_out_channels", [8, 16, 16], f"VAE factor must be that of {folders['base']}, 8, not 4"),
        ("scaling_factor", 0.5, "VAE scaling must be that of"),
    ):
        config.write_text(json.dumps(values | {field: value}), encoding="utf-8")
        ran = compare(tmp_path, folders["base"], other).ran
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert text in ran.err


def test_settings_are_checked_as_requests_are(folders: dict[str, str], tmp_path: Path) -> None:
    ran = compare(tmp_path, folders["base"], folders["base"], "--size=100x64", "--guidance=-1").ran
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "width: must be a multiple of" in ran.err
    assert "guidance_scale: must be from 0 to 100, not -1" in ran.err


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--size=12", "must be WxH, as 768x512, not '12'"),
        ("--steps=0", "must be a whole number from 1 to 99999, not '0'"),
        ("--precision=f8", "invalid choice"),
    ],
)
def test_options_that_cannot_be_read(tmp_path: Path, option: str, text: str) -> None:
    ran = compare(tmp_path, VEGA, VEGA, option).ran
    assert (ran.code, ran.out) == (2, "")
    assert text in ran.err


def test_our_prompts_are_many_and_differ() -> None:
    assert len(set(PROMPTS)) == len(set(EMOJI)) == 12
    assert read(VEGA).native_edge == 128
