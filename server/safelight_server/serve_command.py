"""safelight-server serve: models served over gRPC until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import logs
from .errors import LoadError
from .models import Device
from .server import Config, serve

DEMO = [f"{name}={Path(__file__).parent / 'demo' / name}" for name in ("demo-xl", "demo-vega", "demo-refiner")]

EPILOG = """\
examples:
  safelight-server serve                                    the demo models that ship with the server
  safelight-server serve --model xl=./sdxl-base --model refiner=./sdxl-refiner
  safelight-server serve --model vega=./vegart-int8 --listen 0.0.0.0:50051 --precision bf16

A model is a folder as `optimum-cli export openvino --task text-to-image` writes it.
"""


def add(commands: Any) -> None:
    command = commands.add_parser(
        "serve",
        help="serve one or more models until SIGTERM",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    add = command.add_argument
    add("--model", action="append", metavar="NAME=DIR", help="a model folder and its name; the first is the default")
    add("--listen", default="127.0.0.1:50051", metavar="HOST:PORT", help="port 0 takes a free one (%(default)s)")
    add("--device", default="CPU", help="an OpenVINO device: CPU, GPU, GPU.1, ... (%(default)s)")
    add("--precision", choices=("f32", "bf16", "f16"), help="of the arithmetic (the device's own choice)")
    add("--cache-dir", type=Path, metavar="DIR", help="keep compiled models here: a faster second start")
    add("--slots", type=_at_least(1), default=2, metavar="N", help="jobs drawn at a time, in turns (%(default)s)")
    add("--queue", type=_at_least(0), default=32, metavar="N", help="jobs that may wait for a slot (%(default)s)")
    add("--max-edge", type=_at_least(64), default=2048, metavar="PIXELS", help="largest width and height (%(default)s)")
    add("--grace", type=float, default=30.0, metavar="SECONDS", help="for running jobs after SIGTERM (%(default)g)")
    add("--no-verify", action="store_true", help="do not check the files' hashes before loading")
    add("--log-format", choices=sorted(logs.FORMATS), default="human", help="(%(default)s)")
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="(%(default)s)")


def run(arguments: argparse.Namespace) -> None:
    logs.start(arguments.log_format, arguments.log_level)
    asyncio.run(serve(config_from(arguments)))


def config_from(arguments: argparse.Namespace) -> Config:
    """Raises LoadError for a model that is not NAME=DIR, or named twice."""
    folders: dict[str, Path] = {}
    for text in arguments.model or DEMO:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise LoadError(f"--model must be NAME=DIR, not {text!r}")
        if name in folders:
            raise LoadError(f"--model {name} is given twice")
        folders[name] = Path(folder)
    return Config(
        folders=folders,
        listen=arguments.listen,
        device=Device(arguments.device, arguments.precision, arguments.cache_dir),
        slots=arguments.slots,
        queue=arguments.queue,
        max_edge=arguments.max_edge,
        grace=arguments.grace,
        verify=not arguments.no_verify,
    )


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} on, not {text!r}")
        return int(text)

    return number
