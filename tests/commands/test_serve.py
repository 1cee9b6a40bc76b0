"""safelight-server serve: what is wrong with the command ends it, with one clear line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import openvino.opset13 as ops
import pytest
from safelight_server.__main__ import parser
from safelight_server.commands.serve import config_from
from safelight_server.errors import LoadError
from support.servers import ServerProcess


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "safelight_server", "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--model", "a=x", "--model", "a=x"], "--model a is given twice"),
        (["--model", "a=x", "--device", "b=CPU"], "--device b=CPU: there is no --model b; there are a"),
        (["--model", "a=x", "--device", "CPU", "--device", "GPU"], "--device is given twice for all models"),
    ],
)
def test_options_that_do_not_fit_each_other(arguments: list[str], told: str) -> None:
    with pytest.raises(LoadError, match=told):
        config_from(parser().parse_args(["serve", *arguments]))


def test_options_by_model() -> None:
    arguments = ["--model", "a=x", "--model", "b=y", "--device", "GPU", "--device", "b=CPU", "--threads", "b=2"]
    arguments += ["--max-wait", "7"]
    config = config_from(parser().parse_args(["serve", *arguments]))
    assert {name: (device.name, device.threads) for name, device in config.devices.items()} == {
        "a": ("GPU", None),
        "b": ("CPU", 2),
    }
    assert set(config.own_lane) == {"b"}
    assert config.max_wait == 7


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--model", "x=/nowhere"], "/nowhere: is not there"),
        (["--model", "a={base}", "--insecure", "--listen", "256.0.0.1:1"], "cannot listen on 256.0.0.1:1"),
        (["--model", "a={base}", "--device", "TPU"], "TPU"),
        (["--slots", "0"], "must be a whole number from 1 on"),
    ],
)
def test_the_command_ends_with_one_clear_line(arguments: list[str], told: str, folders: dict[str, str]) -> None:
    filled = [argument.format(**folders) for argument in arguments]
    listen = [] if "--listen" in filled else ["--listen", "127.0.0.1:0"]
    ended = serve(*listen, *filled)
    assert ended.returncode in (1, 2)
    assert told in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_graphs_that_do_not_fit_each_other_are_refused(folders: dict[str, str], tmp_path: Path) -> None:
    """A decoder of the right kind, with other channels: only the first run can tell."""
    folder = tmp_path / "model"
    shutil.copytree(folders["base"], folder)
    latents = ops.parameter([-1, 5, -1, -1], np.float32, name="latent_sample")
    ov.save_model(ov.Model([ops.result(ops.negative(latents))], [latents]), folder / "vae_decoder/openvino_model.xml")
    ended = serve("--listen=127.0.0.1:0", f"--model=m={folder}")
    assert ended.returncode == 1
    told = ended.stderr.splitlines()[-1]
    assert told == f"safelight-server: {folder}: m/vae_decoder failed on its first run; the log says how"


def test_two_servers_do_not_share_a_port(folders: dict[str, str]) -> None:
    with ServerProcess(f"--model=m={folders['base']}", ready="listening on") as server:
        second = serve(f"--model=m={folders['base']}", f"--listen={server.address}")
        assert second.returncode == 1
        assert "cannot listen on" in second.stderr


@pytest.mark.parametrize(
    ("words", "precision", "measures"),
    [([], None, True), (["--precision=device"], None, False), (["--precision=f32"], "f32", False)],
)
def test_a_precision_that_is_asked_for_is_not_measured(words: list[str], precision: str | None, measures: bool) -> None:
    config = config_from(parser().parse_args(["serve", "--model", "a=x", *words]))
    for device in (config.devices["a"], config.new_device):
        assert (device.precision, device.measures) == (precision, measures)


def test_what_the_next_start_need_not_do_is_kept_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def told(*words: str) -> tuple[Path | None, str]:
        config = config_from(parser().parse_args(["serve", "--model", "a=x", *words]))
        assert config.devices["a"].cache == config.cache
        return config.cache, config.verify

    assert told() == (tmp_path / "safelight", "once")
    assert told("--cache-dir=c", "--verify=always") == (Path("c"), "always")
    assert told("--no-cache", "--no-verify") == (None, "never")
