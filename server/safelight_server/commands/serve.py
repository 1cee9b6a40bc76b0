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
from safelight_server.config import Config
from safelight_server.errors import LoadError
from safelight_server.models import devices as machine
from safelight_server.models.device import Device
from safelight_server.rpc import listening
from safelight_server.server import serve

from .parsing import PRECISIONS, add_command
from .serve_options import add_options

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
