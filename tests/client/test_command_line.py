"""The command line `safelight` over TCP against a scripted server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import safelight
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from safelight import retries
from safelight.__main__ import EXIT_CODES, main
from safelight.errors import EXCEPTIONS
from safelight.v1 import images_pb2 as pb
from support import fake_server as fake
from support.fake_server import FOREVER, refuse, serve
from support.files import opened, written

# The command line


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in an empty folder; gives (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> tuple[int, str, str]:
        try:
            code = main(argv)
        except SystemExit as exit:
            code = cast(int, exit.code)
        seen = capsys.readouterr()
        return code, seen.out, seen.err

    return run


def test_cli_generate(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as server:
        monkeypatch.setenv("SAFELIGHT_ADDRESS", server.address)
        options = (
            "--model=vega --negative=blue --size=512x768 --steps=4 --guidance=2 --seed=7 -n=2 --scheduler=euler"
            " --refiner=refiner@0.75 --quality=80 -o=apple.jpg"
        )
        code, out, err = run("generate", "a red apple", *options.split())
        assert (code, out) == (0, "apple-0.jpg\napple-1.jpg\n")
        assert "seed 7, 8; 3.0 s" in err
        assert "the prompt was cut" in err
        assert server.requests == [
            pb.GenerateRequest(
                prompt="a red apple", model="vega", negative_prompt="blue", width=512, height=768, steps=4,
                guidance_scale=2, seed=7, num_images=2, scheduler="euler",
                refiner=pb.RefinerStage(model="refiner", handoff=0.75),
                output=pb.OutputOptions(format=pb.IMAGE_FORMAT_JPEG, quality=80))
        ]  # fmt: skip
        assert opened("apple-1.jpg").format == "JPEG"
        assert run("generate", "p", "--quiet") == (0, "safelight-7.png\n", "")
        code, out, err = run("generate", "p", "--json", "-o", "x.png")
        result = json.loads(out)
        assert (result["paths"], result["seeds"], result["timings"]["total"]) == (["x.png"], [7], 3)


def test_cli_generate_with_a_bar(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as server:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        code, out, err = run("generate", "p", "--address", server.address)
        assert (code, out) == (0, "safelight-7.png\n")
        assert "vega: 100%" in err
        assert server.requests[0].preview.every_steps == 0


def test_cli_asks_for_less_work(run: Any) -> None:
    with serve() as server:
        command = (
            "generate p --priority batch --deep-cache 3 --guide-until 0.5 --tiny --prompt-syntax weighted -o a.png"
            " --address"
        )
        assert run(*command.split(), server.address)[0] == 0
        wanted = pb.Acceleration(deep_cache_interval=3, guidance_until=0.5, tiny_decoder=True)
        assert server.requests == [
            pb.GenerateRequest(
                prompt="p",
                output={"format": pb.IMAGE_FORMAT_PNG},
                priority=pb.PRIORITY_BATCH,
                acceleration=wanted,
                prompt_syntax=pb.PROMPT_SYNTAX_WEIGHTED,
            )
        ]


def test_cli_refine(run: Any, tmp_path: Path) -> None:
    written(tmp_path / "sketch.png", fake.picture("blue"))
    with serve() as server:
        command = "refine sketch.png apple --strength 0.5 --mask sketch.png -o new.png --address"
        assert run(*command.split(), server.address)[:2] == (0, "new.png\n")
        request = server.requests[0]
    assert (request.image, request.mask, request.strength) == (fake.picture("blue"), fake.picture("blue"), 0.5)


def test_cli_stream(run: Any) -> None:
    with serve() as server:
        code, out, err = run(
            "stream", "p", "-n", "2", "-o", "a.png", "--preview", "now.jpg", "--address", server.address
        )
        assert (code, out) == (0, "a-0.png\na-1.png\n")
        assert "seed 7, 8" in err
        assert opened("now.jpg").format == "JPEG"
        command = "stream p --json -q -o a.png --preview now.jpg --preview-every 2 --address"
        code, out, err = run(*command.split(), server.address)
        assert server.requests[1].preview.every_steps == 2
    events = [json.loads(line) for line in out.splitlines()]
    kinds = ["queued", "started", "progress", "progress", "preview", "image_done", "done"]
    assert [event["event"] for event in events] == kinds
    assert (events[4]["path"], events[5]["path"], events[5]["seed"]) == ("now.jpg", "a.png", 7)
    assert (code, err) == (0, "")


def test_cli_models_and_health(run: Any) -> None:
    with serve() as server:
        code, out, _ = run("models", "--address", server.address)
        assert (code, out.splitlines()[1].split()[:5]) == (0, ["vega", "base", "1024x1024", "25", "7.3"])
        assert json.loads(run("models", "--json", "--address", server.address)[1])[0]["limits"]["max_edge"] == 1024
        assert run("health", "--address", server.address)[:2] == (0, "SERVING\n")
        server.health.set("", 2)
        assert run("health", "--address", server.address)[:2] == (1, "NOT_SERVING\n")
        assert run("health", "vega", "--address", server.address)[0] == 4
    assert run("health", "--address", "127.0.0.1:1")[0] == 3


@pytest.mark.parametrize("code", list(EXCEPTIONS))
def test_cli_exit_codes(run: Any, code: grpc.StatusCode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "PATIENCE", 1.0)  # what takes longer is told, and not tried again
    handler: Any = lambda _, context: refuse(context, code, "no", RetryInfo(retry_delay=Duration(seconds=4)))  # noqa: E731
    with serve(stream=handler) as server:
        exit_code, out, err = run("stream", "p", "--address", server.address)
    assert exit_code == EXIT_CODES.get(EXCEPTIONS[code], 1)
    assert (out, err) == ("", "safelight: no (try again in 4 s)\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["generate"], "PROMPT"),
        (["generate", "p", "--size", "12"], "as 768x512"),
        (["generate", "p", "--refiner", "a@b"], "as refiner@0.8"),
        (["generate", "p", "--steps", "-1"], "steps=-1"),
        (["generate", "p", "--timeout", "-1"], "timeout"),
        (["refine", "nowhere.png", "p"], "nowhere.png"),
        (["stream", "p", "--strength", "0.5"], "no image"),
        (["health", "--address", "ftp://host"], "https://host:port"),
    ],
)
def test_cli_bad_arguments(run: Any, arguments: list[str], text: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert text in err
    assert "Traceback" not in err


def test_cli_help_and_version(run: Any) -> None:
    assert run("--version") == (0, f"safelight {safelight.__version__}\n", "")
    for command in ("generate", "refine", "stream", "models", "health"):
        assert command in run("--help")[1]
        code, out, _ = run(command, "--help")
        assert (code, "SAFELIGHT_ADDRESS" in out) == (0, True)


@pytest.mark.parametrize("command", ["generate", "stream"])
def test_cli_interrupt_cancels_on_the_server(tmp_path: Path, command: str) -> None:
    with serve(generate=fake.sleeping, stream=fake.endless) as server:
        argv = [sys.executable, "-m", "safelight", command, "p", "--address", server.address]
        process = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        assert server.called.wait(FOREVER)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=FOREVER)[1] == "safelight: cancelled\n"
        assert process.returncode == 130
        assert server.gone.wait(FOREVER)


def test_cli_reader_that_leaves(tmp_path: Path) -> None:
    with serve() as server:
        argv = [sys.executable, "-m", "safelight", "stream", "p", "--json", "--quiet", "--address", server.address]
        reading, writing = os.pipe()
        os.close(reading)
        process = subprocess.run(argv, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)
    assert (process.returncode, process.stderr) == (1, "")
