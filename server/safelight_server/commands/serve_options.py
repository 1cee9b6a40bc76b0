"""All that a server can be told on the command line: `serve` takes it, and `check`."""

from __future__ import annotations

import argparse
from pathlib import Path

from safelight_server import logs
from safelight_server.config import VERIFY
from safelight_server.rpc import listening

from .parsing import PRECISIONS, Parser, byte_count, seconds, whole_number

HTTP_PORT = 7860  # where A1111 is, and so where its clients look first
METRICS_PORT = 9464  # where OpenTelemetry's exporters for Prometheus are


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
