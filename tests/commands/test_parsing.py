"""safelight-server says in one line what is wrong with its arguments, and takes no part of a name for the whole."""

from __future__ import annotations

import openvino as ov
import pytest
from safelight_server import logs
from safelight_server.__main__ import parser
from safelight_server.commands import serve
from safelight_server.errors import LoadError
from safelight_server.models import devices


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "COMMAND"),
        (["draw"], "'draw'"),
        (["serve", "--slots", "0"], "must be a whole number from 1 on, not '0'"),
        (["serve", "--devic", "CPU"], "--devic"),
        (["serve", "--model", "just-a-name"], "must be NAME=DIR, not 'just-a-name'"),
        (["serve", "--model", "a=x", "--threads", "a=none"], "must be a whole number from 1 on, not 'none'"),
        (["serve", "--grace", "-1"], "must be a number of seconds from 0 on, not '-1'"),
        (["serve", "--grace", "nan"], "must be a number of seconds from 0 on, not 'nan'"),
        (["serve", "--precision", "f64"], "'f64'"),
        (["export"], "required"),
        (["compare", "a"], "required"),
    ],
)
def test_errors_are_one_line(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments)
    told = capsys.readouterr().err
    assert (ended.value.code, len(told.splitlines())) == (2, 1)
    assert told.startswith("safelight-server")
    assert text in told


@pytest.mark.parametrize("name", ["cpu", "CPU.7", "TPU", "", "HETERO:CPU,TPU", "AUTO:cpu"])
def test_a_device_that_is_not_there_lists_those_that_are(name: str) -> None:
    there = ", ".join(ov.Core().available_devices)
    with pytest.raises(LoadError, match=rf"^--device {name}: there is no such device; there are {there}$"):
        devices.check(["CPU", name])


@pytest.mark.parametrize("name", ["CPU", "CPU.0", "AUTO", "AUTO:CPU", "MULTI:CPU", "HETERO:CPU", "BATCH:CPU(4)"])
def test_a_device_that_is_there(name: str) -> None:
    devices.check([name])


def test_the_device_is_told_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "start", lambda *_: None)
    with pytest.raises(LoadError, match="there are CPU"):
        serve.run(parser().parse_args(["serve", "--device", "demo-xl=cpu"]))
