"""safelight-server demo: both doors, the demo models, and a page that is there at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra [http] is not installed here")


def test_the_page_is_there_at_once_and_the_models_when_they_are_loaded(tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ["demo", "--no-browser", "--http=127.0.0.1:0", "--listen=127.0.0.1:0"]
    with log.open("w") as file:
        command = [sys.executable, "-m", "safelight_server", *words]
        process = subprocess.Popen(command, stderr=file, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        page = wait_for(log, r"addresses are at (http://\S+)")
        with urllib.request.urlopen(page, timeout=30) as answer:
            assert b"Safelight" in answer.read()
        wait_for(log, r"ready: (serving)")
        with urllib.request.urlopen(f"{page}/api/models", timeout=30) as answer:
            names = [model["name"] for model in json.load(answer)["models"]]
        assert names == ["demo-xl", "demo-vega", "demo-refiner"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def wait_for(log: Path, words: str) -> str:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if found := re.search(words, log.read_text(encoding="utf-8")):
            return found.group(1)
        time.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8"))
