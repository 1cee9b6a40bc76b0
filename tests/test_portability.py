"""Windows and macOS, as far as Linux can tell: what they lack is taken away, and the server runs all the same."""

from __future__ import annotations

import os
import runpy
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import setuptools
from safelight import Client, addresses
from safelight_server import demo
from safelight_server.lanes import free_memory
from safelight_server.rpc import listening
from setuptools.command.build_ext import build_ext
from support.servers import ServerProcess

ROOT = Path(__file__).parents[1]
IMPORT_ALL = """
import importlib, pkgutil, sys
import safelight, safelight_server
from support.elsewhere import forget, leave_out

def names():
    for package in (safelight, safelight_server):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            yield found.name

kept = [name for name in names() if not name.startswith("safelight_server.export.") and not name.endswith("__main__")]
for name in kept:
    importlib.import_module(name)
leave_out()
forget("safelight", "safelight_server")
for name in kept:
    importlib.import_module(name)
print(len(kept))
"""


def python(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")))}
    return subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, timeout=120, check=False, **options
    )


def test_every_module_that_serves_is_imported_without_what_posix_has() -> None:
    ran = python("-c", IMPORT_ALL)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 150


class Elsewhere(ServerProcess):
    """A server on such a system."""

    MODULE = "support.elsewhere"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_draws_and_leaves_in_order_there(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT / "tests"), os.environ.get("PYTHONPATH", ""))))
    models = [f"--model={name}={demo.FOLDERS[f'demo-{name}']}" for name in ("vega", "xl")]
    # No cache: filelock goes by the system's name, and looks for what this one is said not to have.
    options = "--no-cache", f"--state-dir={tmp_path}", "--http=127.0.0.1:0"
    with Elsewhere(*models, *options) as server:
        with Client(server.address) as client:
            assert client.generate("a red apple", model="vega", seed=1).image.size == (128, 128)
        server.process.send_signal(number)
        assert server.process.wait(60) == 0, server.log()
        assert "draining: no new jobs" in server.log()
        assert server.log().endswith("stopped\n")


def test_a_second_signal_ends_it_at_once_there() -> None:
    code = """
import asyncio, os, signal, sys, threading
from support.elsewhere import leave_out
leave_out()
from safelight_server import signals

async def main():
    stop = signals.first_signal(lambda: print("first", flush=True))
    os.kill(os.getpid(), signal.SIGTERM)
    await stop
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(60)
    print("not reached")

asyncio.run(main())
"""
    ran = python("-c", code)
    assert (ran.returncode, ran.stdout) == (-signal.SIGTERM, "first\n"), ran.stderr


def test_unix_sockets_are_refused_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ValueError, match="no unix sockets"):
        listening.parse("unix:/run/safelight.sock")
    with pytest.raises(ValueError, match="no unix sockets"):
        addresses.target("unix:/run/safelight.sock")
    assert addresses.target("unixbox:7") == ("unixbox:7", False)


def test_a_machine_that_does_not_tell_its_memory_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError))
    installed = free_memory.available()
    assert 2**28 < installed < sys.maxsize
    monkeypatch.delattr(os, "sysconf")
    assert free_memory.available() == sys.maxsize


# ---- the C extension ----


def built_by(compiler: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The flags that setup.py has for a compiler of this kind."""
    told: dict[str, Any] = {}
    built: list[setuptools.Extension] = []
    monkeypatch.setattr(setuptools, "setup", lambda **values: told.update(values))
    monkeypatch.setattr(build_ext, "build_extension", lambda self, extension: built.append(extension))
    runpy.run_path(str(ROOT / "setup.py"))
    command = told["cmdclass"]["build_ext"](setuptools.Distribution())
    command.compiler = SimpleNamespace(compiler_type=compiler)
    command.build_extension(told["ext_modules"][0])
    return list(built[0].extra_compile_args)


def test_each_compiler_gets_flags_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAFELIGHT_SANITIZE", raising=False)
    unix, msvc = built_by("unix", monkeypatch), built_by("msvc", monkeypatch)
    assert {"-std=c11", "-ffp-contract=off"} <= set(unix)
    assert {"/std:c11", "/fp:precise"} <= set(msvc)
    assert all(flag.startswith("/") for flag in msvc)
    assert built_by("another", monkeypatch) == []
    monkeypatch.setenv("SAFELIGHT_SANITIZE", "1")
    assert "-fsanitize=address,undefined" in built_by("unix", monkeypatch)
    assert built_by("msvc", monkeypatch) == msvc


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_c_sources_are_plain_c11(compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler} here")
    source = ROOT / "server/safelight_server/pixels/_native.c"
    command = f"{compiler} -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only -DPy_LIMITED_API=0x030B0000 -isystem"
    ran = subprocess.run(
        [*shlex.split(command), sysconfig.get_path("include"), str(source)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
