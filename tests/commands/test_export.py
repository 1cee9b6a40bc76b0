"""safelight-server export: its options are checked first, before a weight is loaded."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from safelight_server.__main__ import parser
from safelight_server.commands.export import SCHEDULER, options_from
from safelight_server.errors import LoadError
from safelight_server.export.lora_options import NAMES

pytest.importorskip("optimum")


def refusal(*arguments: object) -> str:
    with pytest.raises(LoadError) as raised:
        options_from(parser().parse_args(["export", *map(str, arguments)]))
    return str(raised.value)


def test_the_help_lists_every_scheduler() -> None:
    words = set(re.findall(r"[\w-]+", SCHEDULER))
    assert set(NAMES) <= words


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--lora", "nobody.safetensors"], "nobody.safetensors: is not there"),
        (["--prompts", "nobody.txt"], "--prompts must be a file, and nobody.txt is not"),
        (["--tiny-vae", "/"], "--tiny-vae must be a folder with config.json and weights, and / is not"),
        (["--lora", "lora.bin"], "lora.bin: is not there"),
        (["--samples", "0"], "--samples must be from 1 on, not 0"),
        (["--samples", "9"], "--samples must come with --int8 or --int8-vae: nothing else is calibrated"),
        (
            ["--int8-mode", "weights", "--samples", "9"],
            "--samples must come with --int8 or --int8-vae: nothing else is calibrated",
        ),
        (["--revision", "main"], "--revision must be left out for what is here, SOURCE: it is for names on the hub"),
        (
            ["--int8", "unet,clip"],
            "--int8 must be all, or of unet, vae, text some with commas between, not 'unet,clip'; "
            "where it comes before SOURCE, write --int8=unet",
        ),
        (
            ["--int8", "all", "--int8-mode", "weights", "--samples", "9"],
            "--samples must come with --int8 or --int8-vae: nothing else is calibrated",
        ),
        (["--lora-scale", "nan"], "--lora-scale must be from -10 to 10, not nan"),
    ],
)
def test_options_that_are_refused(arguments: list[str], why: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, tmp_path / "out", *arguments).replace(str(tmp_path), "SOURCE") == why


TEXT = ("text_encoder", "text_encoder_2")


@pytest.mark.parametrize(
    ("arguments", "modes"),
    [
        ([], {}),
        (["--int8"], {"unet": "ptq"}),
        (["--int8-vae"], {"vae_decoder": "ptq"}),
        (["--int8", "--int8-vae"], {"unet": "ptq", "vae_decoder": "ptq"}),
        (["--int8-mode", "weights"], {"unet": "weights"}),
        (["--int8-mode", "hybrid", "--int8-vae"], {"unet": "hybrid", "vae_decoder": "ptq"}),
        (["--int8", "all"], dict.fromkeys(("unet", "vae_decoder", *TEXT), "ptq")),
        (["--int8", "vae, text"], dict.fromkeys(("vae_decoder", *TEXT), "ptq")),
        (["--int8=text", "--int8-mode", "weights"], dict.fromkeys(TEXT, "weights")),
    ],
)
def test_what_is_quantized(arguments: list[str], modes: dict[str, str], tmp_path: Path) -> None:
    given = parser().parse_args(["export", str(tmp_path), str(tmp_path / "out"), *arguments])
    assert options_from(given).int8 == modes


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    assert refusal(tmp_path, tmp_path) == f"{tmp_path}: is there already; export writes a new folder"


def test_a_link_that_leads_nowhere_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("nowhere")
    assert "is there already" in refusal(tmp_path, tmp_path / "out")


def test_the_folder_must_lie_in_one_that_is(tmp_path: Path) -> None:
    assert refusal(tmp_path, tmp_path / "no/out") == (
        f"{tmp_path}/no: is not there; the folder to make must lie in one that is"
    )


def test_the_command_ends_with_one_line_and_makes_no_folder(tmp_path: Path) -> None:
    """Its options are looked at before the checkpoint, which is not there."""
    command = [sys.executable, "-m", "safelight_server", "export", "nobody/nothing", "out", "--samples", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "safelight-server: --samples must be from 1 on, not 0\n"
    assert not list(tmp_path.iterdir())
