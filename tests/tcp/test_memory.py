"""A server whose memory is bounded by the system: what fits is drawn, what does not is refused, and nothing fails.

The long form, 1,000 jobs: pytest -m slow tests/tcp/test_memory.py -s
"""

from __future__ import annotations

import os
import random
import re
import resource
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest
from safelight import Busy, Client
from safelight_server import demo
from support.servers import ServerProcess

NAMES = "demo-vega", "demo-xl"
SIZES = range(64, 1025, 64)
AT_ONCE = 4
MODELS = [f"--model={name}={demo.FOLDERS[name]}" for name in NAMES]
GROUPS = Path("/sys/fs/cgroup/memory")
PICTURE = Path(__file__).parents[2] / "docs/page/drawing-390-dark.jpg"


# MiB of address space, beside what the warm server has: less than the largest picture takes.
FEW, MANY = (40, 700), pytest.param(1000, 2000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])


@pytest.mark.parametrize(("jobs", "room"), [FEW, MANY])
def test_no_inference_fails_for_want_of_memory(jobs: int, room: int) -> None:
    with ServerProcess(*MODELS, "--queue=64") as server:
        process = psutil.Process(server.process.pid)
        limit = process.memory_info().vms + room * 2**20
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, limit))
        dice = random.Random(0)
        asked = [(dice.choice(NAMES), dice.choice(SIZES), dice.choice(SIZES), dice.random() < 0.2) for _ in range(jobs)]
        with Client(server.address) as client, ThreadPoolExecutor(AT_ONCE) as pool:
            ends = Counter(pool.map(partial(_draw, client), asked))
        print(dict(ends))
        assert not re.search(r"network \S+ failed|Traceback", server.log()), server.log()
        assert set(ends) == {"drawn", "MEMORY_SHORT"}, "of both there are some"


@pytest.mark.skipif(not os.access(GROUPS, os.W_OK), reason="no control groups of version 1 that may be made here")
def test_nothing_is_killed_in_a_control_group() -> None:
    """A real one, around the server once it is warm, as systemd's or a container's."""
    group = GROUPS / f"safelight-test-{os.getpid()}"
    with ServerProcess(*MODELS, "--queue=64") as server:
        group.mkdir()
        try:
            (group / "cgroup.procs").write_text(str(server.process.pid))
            # What the process took before is counted where it was: it has so much from here on.
            (group / "memory.limit_in_bytes").write_text(str(300 * 2**20))
            dice = random.Random(1)
            asked = [(dice.choice(NAMES), dice.choice(SIZES), dice.choice(SIZES), False) for _ in range(24)]
            with Client(server.address) as client, ThreadPoolExecutor(AT_ONCE) as pool:
                ends = Counter(pool.map(partial(_draw, client), asked))
            failures = int((group / "memory.failcnt").read_text())
            most = int((group / "memory.max_usage_in_bytes").read_text())
            print(f"{dict(ends)}; at most {most / 2**20:.0f} of 300 MiB; at the limit {failures} times")
            assert server.process.poll() is None, "the kernel has killed it"
            assert not re.search(r"network \S+ failed|Traceback", server.log()), server.log()
            assert set(ends) == {"drawn", "MEMORY_SHORT"}, "of both there are some"
        finally:
            server.stop()
            group.rmdir()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_peak_of_a_job_is_foreseen() -> None:
    """Within a tenth, of larger and larger pictures."""
    with ServerProcess(*MODELS) as server, Client(server.address) as client:
        process = psutil.Process(server.process.pid)
        for edge in (128, 256, 384, 512, 640, 768):
            for name in NAMES:
                foreseen = client.estimate("a red apple", model=name, width=edge, height=edge, steps=1).peak_bytes
                client.generate("a red apple", model=name, width=edge, height=edge, steps=1)
                peak = process.memory_info().rss
                print(f"{name}, {edge} px: {foreseen / 1e6:.0f} MB foreseen, {peak / 1e6:.0f} taken")
                assert abs(foreseen / peak - 1) < 0.1


def _draw(client: Client, asked: tuple[str, int, int, bool]) -> str:
    model, width, height, redraws = asked
    image = PICTURE if redraws else None
    try:
        if image:
            client.refine(image, "a red apple", model=model, width=width, height=height, steps=2, strength=0.5)
        else:
            client.generate("a red apple", model=model, width=width, height=height, steps=1)
    except Busy as error:
        return error.reason
    return "drawn"
