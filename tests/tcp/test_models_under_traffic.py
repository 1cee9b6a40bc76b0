"""Two models that come and go a hundred times while others draw with them: nothing is lost, and memory stays.

pytest -m slow tests/tcp/test_models_under_traffic.py -s
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from safelight import Client
from safelight_server import demo
from support.servers import ServerProcess

NAMES = "demo-vega", "demo-xl"
TIMES = 100
FLAT = 1.15  # times the memory after the first tenth


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    models = [f"--model={name}={demo.FOLDERS[name]}" for name in NAMES]
    with ServerProcess(*models, f"--cache-dir={tmp_path}") as process:
        yield process


def pss(server: ServerProcess) -> int:
    return int(psutil.Process(server.process.pid).memory_full_info().pss)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_an_unloaded_model_gives_its_memory_back(server: ServerProcess) -> None:
    with Client(server.address) as client:
        for name in NAMES:
            client.generate("a red apple", model=name, seed=1)
        client.unload_model("demo-vega")
        without = pss(server)
        for _ in range(3):
            before = pss(server)
            client.load_model("demo-vega")
            client.generate("a red apple", model="demo-vega", seed=1)
            loaded = pss(server)
            client.unload_model("demo-vega")
            share = (loaded - pss(server)) / (loaded - before)
            print(f"demo-vega added {(loaded - before) / 1e6:.0f} MB of PSS, and gave back {share:.1%} of it")
        assert pss(server) < without * FLAT


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_nothing_is_lost_while_models_come_and_go(server: ServerProcess) -> None:
    drawn, over = [0], threading.Event()
    wrong: list[tuple[str, int]] = []
    failed: list[Exception] = []

    def draw(name: str, caller: int) -> None:
        with Client(server.address) as client:
            while not over.is_set():
                try:
                    picture = client.generate("a red apple", model=name, steps=3, seed=caller).pictures[0].data
                except Exception as error:
                    failed.append(error)
                else:
                    drawn[0] += 1
                    if picture != right[name, caller]:
                        wrong.append((name, caller))

    with Client(server.address) as client:
        right = {
            (name, caller): client.generate("a red apple", model=name, steps=3, seed=caller).pictures[0].data
            for name in NAMES
            for caller in range(3)
        }
        threads = [threading.Thread(target=draw, args=pair) for pair in right]
        for thread in threads:
            thread.start()
        sizes = []
        for turn in range(TIMES):
            client.unload_model(NAMES[turn % 2])
            client.load_model(NAMES[turn % 2])
            sizes.append(pss(server))
        over.set()
        for thread in threads:
            thread.join()
    print(f"{drawn[0]} drawings, {len(wrong)} wrong, {len(failed)} failed, {TIMES} unloads and loads")
    print("PSS in MB, every tenth time:", *(size // 10**6 for size in sizes[::10]))
    assert not failed
    assert not wrong
    early, late = sorted(sizes[: TIMES // 10]), sorted(sizes[-TIMES // 10 :])
    assert late[len(late) // 2] < early[len(early) // 2] * FLAT
