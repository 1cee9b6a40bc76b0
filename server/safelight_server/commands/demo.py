"""safelight-server demo: the demo models behind both doors, and the page in a browser."""

from __future__ import annotations

import argparse
import asyncio
import socket
import threading
import time
import webbrowser
from typing import Any

from safelight_server import demo, logs
from safelight_server.models.device import Device
from safelight_server.rpc import listening
from safelight_server.server import Config, serve

from .parsing import add_command
from .serve import HTTP_PORT, address, http_address, state_dir

EPILOG = """\
examples:
  safelight-server demo                  a page to play with at http://127.0.0.1:7860, and gRPC at 127.0.0.1:50051
  safelight-server demo --no-browser     on a machine without a screen
"""
PATIENCE = 30.0  # seconds until the door is open


def add(commands: Any) -> None:
    command = add_command(
        commands, "demo", run, help="play with the demo models in a browser", description=__doc__, epilog=EPILOG
    )
    add = command.add_argument
    add("--http", type=http_address, default=f"127.0.0.1:{HTTP_PORT}", metavar="ADDRESS", help="(%(default)s)")
    add("--listen", type=address, default=listening.DEFAULT.target, metavar="ADDRESS", help="for gRPC (%(default)s)")
    add("--no-browser", action="store_true", help="only say where the page is")


def run(arguments: argparse.Namespace) -> None:
    logs.start("human", "info")
    config = Config(
        folders=dict(demo.FOLDERS),
        listen=arguments.listen,
        http=arguments.http,
        state_dir=state_dir(arguments.listen),
        devices=dict.fromkeys(demo.FOLDERS, Device()),
    )
    if not arguments.no_browser:
        threading.Thread(target=_show, args=(arguments.http.target,), daemon=True).start()
    asyncio.run(serve(config))


def _show(target: str) -> None:
    """Opens the page as soon as somebody answers there; it says itself what is still being loaded."""
    host, _, port = target.rpartition(":")
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection((host.strip("[]"), int(port)), 1).close()
        except OSError:
            time.sleep(0.2)
        else:
            webbrowser.open(f"http://{target}/")
            return
