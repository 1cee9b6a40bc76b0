"""safelight-server serve: models served over gRPC until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from safelight_server import demo, logs
from safelight_server.access import tls
from safelight_server.config import VERIFY, Config
from safelight_server.errors import LoadError
from safelight_server.models import devices as machine
from safelight_server.models.device import Device
from safelight_server.rpc import listening
from safelight_server.server import serve

from .parsing import PRECISIONS, Parser, add_command, byte_count, seconds, whole_number

HTTP_PORT = 7860  # where A1111 is, and so where its clients look first
METRICS_PORT = 9464  # where OpenTelemetry's exporters for Prometheus are

EPILOG = """\
examples:
  safelight-server serve                                    the demo models that ship with the server
  safelight-server serve --model xl=./sdxl-base --model refiner=./sdxl-refiner
  safelight-server serve --model vega=./vegart-int8 --listen 0.0.0.0:50051 \\
      --tls-cert cert.pem --tls-key key.pem --tokens tokens.txt
  safelight-server serve --model xl=./sdxl-base --model vega=./vegart-int8 --device GPU --device vega=CPU
  safelight-server serve --config serve.toml                the same options from a file: docs/operations/serve.toml
  safelight-server serve --http :7860                       and a page at http://127.0.0.1:7860

A model is a folder as `safelight-server export` writes it, or optimum-cli, or optimum-intel's save_pretrained.
"""


def add(commands: Any) -> None:
    command = add_command(
        commands, "serve", run, help="serve one or more models until SIGTERM", description=__doc__, epilog=EPILOG
    )
    add_options(command)


def add_options(command: Parser) -> None:
    """All that a server can be told; `check` takes the same."""
    command.read_config_files()
    add = command.add_argument
    add(
        "--model",
        action="append",
        type=named_folder,
        metavar="NAME=DIR",
        help="a model folder and its name; the first is the default",
    )
    add(
        "--listen",
        type=address,
        default=listening.DEFAULT.target,
        metavar="ADDRESS",
        help="HOST:PORT, HOST, :PORT or unix:PATH; port 0 takes a free one (%(default)s)",
    )
    add(
        "--http",
        type=http_address,
        metavar="ADDRESS",
        help=f"a page to play with, OpenAI's and A1111's addresses: HOST:PORT, HOST, :PORT or PORT ({HTTP_PORT})",
    )
    add(
        "--tls-cert",
        type=Path,
        metavar="FILE",
        help="PEM certificate: both doors speak TLS; read again when it changes",
    )
    add("--tls-key", type=Path, metavar="FILE", help="its PEM key, without a passphrase")
    add("--tls-client-ca", type=Path, metavar="FILE", help="callers must show a certificate that one of these signed")
    add(
        "--tokens",
        type=Path,
        metavar="FILE",
        help="who may call, a line each: see `safelight-server token`; read again when it changes",
    )
    add("--insecure", action="store_true", help="serve an address that others can reach without TLS and tokens")
    add(
        "--metrics",
        type=metrics_address,
        metavar="ADDRESS",
        help=f"a door for Prometheus alone: PORT, ... ({METRICS_PORT}); the HTTP door has /metrics, too",
    )
    add(
        "--traces",
        action="store_true",
        help="a span for each job, sent by OTLP/gRPC to OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4317)",
    )
    add(
        "--device",
        action="append",
        metavar="[NAME=]DEVICE",
        help="an OpenVINO device: CPU, GPU, ... (CPU), or a model's",
    )
    add(
        "--threads",
        action="append",
        type=threads,
        metavar="[NAME=]N",
        help="CPU threads; a model that has its own works beside the rest",
    )
    add(
        "--models-root",
        type=Path,
        metavar="DIR",
        help="folders below it may be loaded while the server runs: see `safelight-server models`",
    )
    add(
        "--memory-limit",
        type=byte_count,
        metavar="BYTES",
        help="of the process (24G, 512M): the model that nobody has asked for longest makes room for another",
    )
    add(
        "--idle-unload",
        type=whole_number(1),
        metavar="SECONDS",
        help="unload a model that nobody has asked for in this time; the next request loads it again",
    )
    add(
        "--precision",
        choices=("auto", "device", *PRECISIONS),
        default="auto",
        help="of the arithmetic; auto: the fastest, measured once; device: the device's own choice (%(default)s)",
    )
    add(
        "--cache-dir",
        type=Path,
        metavar="DIR",
        help="for what the next start need not do: compiled graphs, what was measured and checked (~/.cache/safelight)",
    )
    add("--no-cache", action="store_true", help="keep nothing for the next start")
    add("--slots", type=whole_number(1), default=16, metavar="N", help="jobs drawn at a time, in turns (%(default)s)")
    add("--queue", type=whole_number(0), default=32, metavar="N", help="jobs that may wait for a slot (%(default)s)")
    add(
        "--share",
        type=whole_number(1),
        metavar="N",
        help="jobs that one caller may have at a time, drawn or waiting (as many as there is room for)",
    )
    add(
        "--max-wait",
        type=whole_number(1),
        default=600,
        metavar="SECONDS",
        help="of work that a new job may have before it (%(default)s)",
    )
    add(
        "--max-edge",
        type=whole_number(64),
        default=2048,
        metavar="PIXELS",
        help="largest width and height (%(default)s)",
    )
    add("--grace", type=seconds, default=30.0, metavar="SECONDS", help="for running jobs after SIGTERM (%(default)g)")
    add(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="store jobs here, so that they outlive this process (below ~/.local/state/safelight, by address)",
    )
    add("--ephemeral", action="store_true", help="store jobs in memory alone: nothing of them is written to a disk")
    add(
        "--store-limit",
        type=whole_number(16),
        default=4096,
        metavar="MIB",
        help="for stored jobs; the oldest that has ended goes first (%(default)s)",
    )
    add(
        "--verify",
        choices=VERIFY,
        default="once",
        help="check the files' SHA-256 before loading; once: until their sizes or times change (%(default)s)",
    )
    add("--no-verify", action="store_const", const="never", dest="verify", help="the same as --verify never")
    add("--log-format", choices=sorted(logs.FORMATS), default="human", help="(%(default)s)")
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="(%(default)s)")


def named_folder(text: str) -> str:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"must be NAME=DIR, not {text!r}")
    return text


def threads(text: str) -> str:
    whole_number(1)(text.rpartition("=")[2])
    return text


def address(text: str) -> listening.Address:
    try:
        return listening.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def http_address(text: str, default: int = HTTP_PORT) -> listening.Address:
    if text.startswith("unix:"):
        raise argparse.ArgumentTypeError(f"must be HOST:PORT, HOST, :PORT or PORT, not {text!r}")
    try:
        return listening.parse(text, default)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def metrics_address(text: str) -> listening.Address:
    return http_address(text, METRICS_PORT)


def run(arguments: argparse.Namespace) -> None:
    logs.start(arguments.log_format, arguments.log_level)
    config = config_from(arguments)
    machine.check(device.name for device in config.devices.values())
    asyncio.run(serve(config))


def config_from(arguments: argparse.Namespace) -> Config:
    """Raises LoadError for a model that is named twice, or given a device and not there."""
    folders = _folders(arguments)
    names = _by_model("--device", arguments.device or (), folders)
    cores = _by_model("--threads", arguments.threads or (), folders)
    cache = None if arguments.no_cache else arguments.cache_dir or cache_dir()

    def device(name: str) -> Device:
        """Of a model; "": of one that is new at run time."""
        own = cores.get(name, cores.get(""))
        return Device(
            name=names.get(name, names.get("", "CPU")),
            precision=arguments.precision if arguments.precision in PRECISIONS else None,
            measures=arguments.precision == "auto",
            cache=cache,
            threads=int(own) if own else None,
        )

    return Config(
        folders=folders,
        listen=arguments.listen,
        http=arguments.http,
        metrics=arguments.metrics,
        traces=arguments.traces,
        devices={name: device(name) for name in folders},
        new_device=device(""),
        cache=cache,
        models_root=arguments.models_root,
        memory_limit=arguments.memory_limit,
        idle_unload=arguments.idle_unload,
        own_lane=frozenset(cores) - {""},
        slots=arguments.slots,
        queue=arguments.queue,
        share=arguments.share,
        max_wait=arguments.max_wait,
        max_edge=arguments.max_edge,
        grace=arguments.grace,
        state_dir=None if arguments.ephemeral else arguments.state_dir or state_dir(arguments.listen),
        store_bytes=arguments.store_limit * 2**20,
        verify=arguments.verify,
        tls=_tls(arguments),
        tokens=arguments.tokens,
        insecure=arguments.insecure,
    )


def state_dir(listen: listening.Address) -> Path | None:
    """By the XDG rules, a folder for each address; None: in memory, for a port of the system's choice is no address."""
    if listen.target.endswith(":0"):
        return None
    return _home("XDG_STATE_HOME", "~/.local/state") / re.sub(r"[^A-Za-z0-9.]+", "-", listen.target).strip("-")


def cache_dir() -> Path:
    """By the XDG rules."""
    return _home("XDG_CACHE_HOME", "~/.cache")


def _home(variable: str, usual: str) -> Path:
    told = os.environ.get(variable, "")
    return (Path(told) if os.path.isabs(told) else Path(usual).expanduser()) / "safelight"


def _tls(arguments: argparse.Namespace) -> tls.Files | None:
    """Raises LoadError for a part of it without the rest."""
    cert, key, client_ca = arguments.tls_cert, arguments.tls_key, arguments.tls_client_ca
    if cert and key:
        return tls.Files(cert, key, client_ca)
    if cert or key or client_ca:
        raise LoadError("TLS takes both --tls-cert and --tls-key")
    return None


def _folders(arguments: argparse.Namespace) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    if not arguments.model:
        return dict(demo.FOLDERS)
    for text in arguments.model:
        name, _, folder = text.partition("=")
        if name in folders:
            raise LoadError(f"--model {name} is given twice")
        folders[name] = Path(folder)
    return folders


def _by_model(option: str, texts: Sequence[str], folders: Collection[str]) -> dict[str, str]:
    """What an option says of each model that it names; "" is for all others."""
    said: dict[str, str] = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        if name and name not in folders:
            raise LoadError(f"{option} {text}: there is no --model {name}; there are {', '.join(folders)}")
        if name in said:
            raise LoadError(f"{option} is given twice for {name or 'all models'}")
        said[name] = value
    return said
