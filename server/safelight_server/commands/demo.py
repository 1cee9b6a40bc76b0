"""safelight-server demo: the demo models draw what you say; without a prompt, a page in a browser to play with."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import threading
import time
import webbrowser
from pathlib import Path
from typing import Any

from safelight import Client, SafelightError

from safelight_server import demo, logs
from safelight_server.config import Config
from safelight_server.errors import LoadError
from safelight_server.models.device import Device
from safelight_server.rpc import listening
from safelight_server.server import serve

from .contact_sheet import draw_all
from .own_server import demo_server
from .parsing import add_command
from .serve import state_dir
from .serve_options import HTTP_PORT, address, http_address

EPILOG = """\
examples:
  safelight-server demo "a red apple"    draws it in four ways, with previews, and leaves two pictures in out/
  safelight-server demo                  a page to play with at http://127.0.0.1:7860, and gRPC at 127.0.0.1:50051
  safelight-server demo --no-browser     the same on a machine without a screen

The demo models ship with the server. They draw some thousand emoji on a dozen background colours, and nothing else.
The page needs the extra [http].
"""
PATIENCE = 30.0  # seconds until the door is open
INTERRUPTED = 130
# What is for one of both alone: the attribute of each option, and what it is if it is not given.
FOR_A_PROMPT: dict[str, Any] = {"folder": Path("out"), "seed": 7}
FOR_THE_PAGE: dict[str, Any] = {
    "http": listening.Address(f"127.0.0.1:{HTTP_PORT}"),
    "listen": listening.DEFAULT,
    "no_browser": False,
}


def add(commands: Any) -> None:
    command = add_command(
        commands, "demo", run, help="draw with the demo models, at once", description=__doc__, epilog=EPILOG
    )
    command.add_argument("prompt", nargs="?", metavar="PROMPT", help="what to draw; without it, the page")
    add = command.add_argument_group("with a prompt").add_argument
    add("--folder", type=Path, metavar="DIR", help="for the pictures, and the server's log (out)")
    add("--seed", type=int, metavar="N", help="(7)")
    add = command.add_argument_group("without one").add_argument
    add("--http", type=http_address, metavar="ADDRESS", help=f"of the page (127.0.0.1:{HTTP_PORT})")
    add("--listen", type=address, metavar="ADDRESS", help=f"for gRPC ({listening.DEFAULT.target})")
    add("--no-browser", action="store_true", default=None, help="only say where the page is")


def run(arguments: argparse.Namespace) -> None:
    """Raises LoadError for an option that goes with the other of both, and where no server starts."""
    mine, other = (FOR_THE_PAGE, FOR_A_PROMPT) if arguments.prompt is None else (FOR_A_PROMPT, FOR_THE_PAGE)
    for name in other:
        if getattr(arguments, name) is not None:
            word = (
                "is for a prompt, and there is none" if arguments.prompt is None else "is for the page: give no prompt"
            )
            raise LoadError(f"demo: --{name.replace('_', '-')} {word}")
    told = {name: getattr(arguments, name) for name in mine}
    chosen = {name: mine[name] if value is None else value for name, value in told.items()}
    if arguments.prompt is None:
        page(**chosen)
    else:
        draw(arguments.prompt, **chosen)


def draw(prompt: str, folder: Path, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    print(f"starting the server (its log: {log})", file=sys.stderr)
    try:
        with demo_server(log) as found, Client(found) as client:
            files = draw_all(client, prompt, seed, folder)
    except SafelightError as error:
        sys.exit(f"safelight-server demo: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    for file in files:
        print(file.resolve())
    print(f"a page to play with: {_program()} demo")


def _program() -> str:
    """As it was called; a file of Python's own is no command."""
    called = sys.argv[0]
    return "safelight-server" if called.endswith(".py") else called


def page(http: listening.Address, listen: listening.Address, no_browser: bool) -> None:
    logs.start("human", "info")
    config = Config(
        folders=dict(demo.FOLDERS),
        listen=listen,
        http=http,
        state_dir=state_dir(listen),
        devices=dict.fromkeys(demo.FOLDERS, Device()),
    )
    if not no_browser:
        threading.Thread(target=_show, args=(http.target,), daemon=True).start()
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
