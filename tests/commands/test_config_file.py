"""serve --config: what the command line can say, a file can say, by the same rules."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safelight import Client
from safelight_server import demo
from safelight_server.__main__ import parser
from safelight_server.commands import config_file, serve, serve_options
from safelight_server.commands.parsing import Parser
from support.servers import ServerProcess

EXAMPLE = Path(__file__).parents[2] / "docs/operations/serve.toml"
# A value of each option that takes one, as the command line has it, and never the default.
VALUES = {
    "model": "xl=/models/xl",
    "listen": "127.0.0.1:7",
    "http": "127.0.0.1:8",
    "metrics": "127.0.0.1:9",
    "device": "xl=GPU",
    "threads": "xl=3",
    "precision": "bf16",
    "verify": "always",
    "memory-limit": "24G",
    "log-format": "json",
    "log-level": "debug",
}
NUMBERS = {
    "slots": 3,
    "queue": 0,
    "share": 5,
    "max-wait": 7,
    "max-edge": 512,
    "grace": 1.5,
    "store-limit": 99,
    "idle-unload": 11,
}


def options() -> Parser:
    command = Parser(prog="serve")
    serve_options.add_options(command)
    return command


OPTIONS = config_file.keys(options())


def parsed(*words: str) -> dict[str, Any]:
    found = vars(parser().parse_args(["serve", *words]))
    return {name: value for name, value in found.items() if name not in ("config", "run")}


def sample(key: str, action: argparse.Action) -> tuple[list[str], Any]:
    """The words of a command line that give an option a value of its own, and what a file says for the same."""
    if action.nargs == 0:
        return [f"--{key}"], True
    if key in NUMBERS:
        return [f"--{key}", str(NUMBERS[key])], NUMBERS[key]
    is_path = config_file.PATH.search(str(action.metavar))
    text = VALUES.get(key) or ("/some/file" if is_path else "some-text")
    return [f"--{key}", text], text


def test_nothing_that_serve_takes_is_missing() -> None:
    taken = {word.lstrip("-") for action in options()._actions for word in action.option_strings if len(word) > 2}
    assert taken - OPTIONS.keys() == {"help", "config"}
    assert len(OPTIONS) > 20


@pytest.mark.parametrize("key", OPTIONS)
def test_every_option_can_stand_in_a_file(key: str, tmp_path: Path) -> None:
    words, value = sample(key, OPTIONS[key])
    file = tmp_path / "serve.toml"
    file.write_text(f"{key} = {json.dumps(value)}\n", encoding="utf-8")
    told = parsed(*words)
    assert parsed("--config", str(file)) == told
    assert told != parsed(), "the sample is not the default"


@pytest.mark.parametrize("key", [key for key, action in OPTIONS.items() if action.nargs != 0])
def test_the_command_line_wins_wherever_it_stands(key: str, tmp_path: Path) -> None:
    _, value = sample(key, OPTIONS[key])
    file = tmp_path / "serve.toml"
    file.write_text(f"{key} = {json.dumps(value)}\n", encoding="utf-8")
    action = OPTIONS[key]
    choices = [choice for choice in action.choices or () if choice != value]
    other = str(choices[0]) if choices else "other=64" if config_file.PER_MODEL.match(str(action.metavar)) else "64"
    expected = parsed(f"--{key}", other)
    assert parsed(f"--{key}", other, "--config", str(file)) == expected
    assert parsed("--config", str(file), f"--{key}", other) == expected


@pytest.mark.parametrize("key", OPTIONS)
def test_a_value_of_another_kind_is_refused(key: str, tmp_path: Path) -> None:
    """What no option takes: a date, a list of lists; and of text and number, the one that it does not take."""
    wrong = ["1979-05-27", "[[1]]", '{a = {b = "c"}}', "{}" if OPTIONS[key].nargs == 0 else "true"]
    wrong += ['"true"', "1"] if OPTIONS[key].nargs == 0 else ['"7"' if key in NUMBERS else "-1.5"]
    for text in wrong:
        file = tmp_path / "serve.toml"
        file.write_text(f"{key} = {text}\n", encoding="utf-8")
        with pytest.raises(config_file.BadFile) as refused:
            config_file.read(options(), file)
        assert str(refused.value).startswith(f"--config {file}: {key}"), text
        assert " must " in str(refused.value), text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_wait = 3", "max_wait is no option; did you mean max-wait?"),
        ("Slots = 3", "Slots is no option; did you mean slots?"),
        ("zzz = 3", "zzz is no option"),
        ("config = 'x'", "config is for the command line alone"),
        ("slots = 0", "slots must be a whole number from 1 on, not '0'"),
        ("slots = 1.5", "slots must be a whole number from 1 on, not '1.5'"),
        ("slots = '16'", "slots must be a number, which has no quotes, not '16'"),
        ("slots = [1, 2]", "slots must be one value (N), not [1, 2]"),
        ("insecure = 'yes'", "insecure must be true or false, not 'yes'"),
        ("log-level = 'loud'", "log-level must be one of debug, info, warning, error, not 'loud'"),
        ("tls-cert = 7", "tls-cert must be text in quotes, not 7"),
        ("listen = 'a b'", "listen must be HOST, PORT, :PORT, HOST:PORT or unix:PATH, not 'a b'"),
        ("model = 'xl'", "model must be NAME=DIR, not 'xl'"),
        ("[threads]\nxl = 'many'", "threads.xl must be a whole number from 1 on, not 'many'"),
        ("slots = ", "is not TOML: Invalid value (at end of document)"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "serve.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        parsed("--config", str(file))
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"safelight-server serve: --config {file}: {told}\n"


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "serve.toml"
    file.write_text("slots = 0\nqueue = -1\nsloots = 3\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        parsed("--config", str(file))
    assert [line.split(": ")[2].split()[0] for line in capsys.readouterr().err.splitlines()] == [
        "slots",
        "queue",
        "sloots",
    ]


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--config", str(tmp_path / "none.toml"))
    assert capsys.readouterr().err.endswith("none.toml: No such file or directory\n")


def test_paths_start_at_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etc").mkdir()
    text = "listen = 'unix:s.sock'\ntokens = '../tokens'\nstate-dir = '~/state'\n[model]\nxl = './xl'\nvega = '/vega'\n"
    (tmp_path / "etc/serve.toml").write_text(text, encoding="utf-8")
    found = parsed("--config", "etc/serve.toml", "--tls-cert", "here.pem")
    assert found["listen"].target == f"unix:{tmp_path}/etc/s.sock"
    assert found["tokens"] == tmp_path / "tokens"
    assert found["state_dir"] == tmp_path / "home/state"
    assert found["model"] == [f"xl={tmp_path}/etc/xl", "vega=/vega"]
    assert found["tls_cert"] == Path("here.pem"), "the command line's start where the command is run"
    assert Path.cwd() == tmp_path


def test_one_value_a_list_and_a_table(tmp_path: Path) -> None:
    for text in ("device = ['GPU', 'a=CPU']\nthreads = 4\n", "device = ['GPU', 'a=CPU']\n[threads]\na = 2\nb = 3\n"):
        file = tmp_path / "serve.toml"
        file.write_text(text, encoding="utf-8")
        found = parsed("--config", str(file))
        assert found["device"] == ["GPU", "a=CPU"]
        assert found["threads"] == (["4"] if "threads = 4" in text else ["a=2", "b=3"])


def test_the_example_is_read() -> None:
    arguments = parser().parse_args(["serve", "--config", str(EXAMPLE)])
    config = serve.config_from(arguments)
    assert list(config.folders) == ["xl", "vega"]
    assert config.folders["xl"] == EXAMPLE.parent / "sdxl-base"
    assert (config.devices["xl"].name, config.devices["vega"].threads) == ("GPU", 4)
    assert config.tls is not None
    assert config.listen.target == "0.0.0.0:50051"


def test_a_server_is_started_by_a_file(tmp_path: Path) -> None:
    shutil.copytree(demo.FOLDERS["demo-xl"], tmp_path / "models/demo-xl")
    shutil.copytree(demo.FOLDERS["demo-vega"], tmp_path / "models/demo-vega")  # which reads parts of the one beside
    file = tmp_path / "serve.toml"
    text = "listen = 'unix:s'\nstate-dir = 'state'\nlog-format = 'json'\n[model]\nvega = 'models/demo-vega'\n"
    file.write_text(text, encoding="utf-8")
    with ServerProcess("--config", str(file)) as server, Client(server.address) as client:
        assert server.address != f"unix:{tmp_path}/s", "--listen, which the command line has, wins"
        assert [model.name for model in client.models()] == ["vega"]
        assert (tmp_path / "state/jobs.sqlite").is_file()
        assert all(json.loads(line) for line in server.log().splitlines())
