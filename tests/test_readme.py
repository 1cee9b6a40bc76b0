"""The README's lines of the section Export: all are run, against a hub on loopback.

The whole run takes minutes: pytest -m slow tests/test_readme.py
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safelight_server.__main__ import parser
from safelight_server.model_folder import model_config, seal
from support.fake_hub import FakeHub, fake_hub

README = Path(__file__).parents[1] / "README.md"
SECTION = re.search(r"\n## Export\n(.*?)\n## ", README.read_text(encoding="utf-8"), re.DOTALL)
assert SECTION
LINES = [line[2:] for line in SECTION[1].splitlines() if line.startswith("$ ")]
FILE = "sd_xl_base_1.0.safetensors"


def test_the_section_has_lines_of_every_kind() -> None:
    assert {line.split()[1] for line in LINES} == {"export", "verify", "compare"}
    assert any(f" ./{FILE} " in line for line in LINES)


@pytest.mark.parametrize("line", LINES)
def test_the_options_of_a_line_are_those_of_the_command(line: str) -> None:
    program, *arguments = shlex.split(line)
    assert program == "safelight-server"
    assert parser().parse_args(arguments).run.__module__ == f"safelight_server.commands.{arguments[0]}"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    """A hub with small checkpoints in the place of those that the README names; and the single file, here."""
    pytest.importorskip("optimum")
    from support.exports import quick_and_quiet
    from support.original_layout import write as write_single
    from support.single_files import pipeline
    from support.tiny_checkpoints import write

    with quick_and_quiet():
        write(tmp_path / "hub")
        (tmp_path / "hub/lora").mkdir()
        (tmp_path / "hub/lora.safetensors").rename(tmp_path / "hub/lora/pytorch_lora_weights.safetensors")
        for place in (tmp_path, tmp_path / "hub/base"):
            write_single(pipeline("base", tmp_path / "tokenizers"), place / FILE)
    repositories: dict[str, Any] = {
        "stabilityai/stable-diffusion-xl-base-1.0": tmp_path / "hub/base",
        "segmind/Segmind-Vega": tmp_path / "hub/vega",
        "segmind/Segmind-VegaRT": tmp_path / "hub/lora",
    }
    with fake_hub(repositories) as served:
        yield served


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_lines_run_one_after_the_other(hub: FakeHub, tmp_path: Path) -> None:
    environment = os.environ | {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    for line in LINES:
        program, *arguments = shlex.split(line)
        command = [str(Path(sys.executable).with_name(program)), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.stderr[-2000:]}"
    made = [shlex.split(line)[3] for line in LINES if line.split()[1] == "export"]
    assert all(seal.check(tmp_path / name) for name in made)
    assert model_config.read(tmp_path / "vegart").scheduler == "lcm"
    manifest = json.loads((tmp_path / "vegart-int8/safelight.json").read_text(encoding="utf-8"))
    assert manifest["source"]["int8"] == dict.fromkeys(("unet", "vae_decoder", "text_encoder", "text_encoder_2"), "ptq")
    assert manifest["source"]["name"] == "segmind/Segmind-Vega"
    assert "vae_decoder" in manifest["shared"]
