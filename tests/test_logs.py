"""Log lines without a server: what they hold, and an outlet whose reader stops, leaves, or is not there."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextvars import copy_context

import pytest
from safelight_server import logs
from safelight_server.logs.outlet import Outlet

PATIENCE = 20.0
LINE = b"x" * 99 + b"\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def outlet_to(descriptor: int) -> Outlet:
    return Outlet(descriptor, lambda count: f"{count} lost\n", most_waiting=10_000)


def read_all(pipe: tuple[int, int], outlet: Outlet) -> bytes:
    """What comes out of the pipe until the outlet has passed on all that it had."""
    outlet.write(b"the end\n")
    read = b""
    while b"the end\n" not in read:
        read += os.read(pipe[0], 65536)
    assert outlet.drain(PATIENCE)
    return read


def python(code: str, redirect: str = "") -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'exec "$0" -c "$1" {redirect}', sys.executable, code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def record(message: str) -> logging.LogRecord:
    made = logging.LogRecord("a.logger", logging.WARNING, __file__, 1, message, (), None)
    made.created, made.msecs = 1_700_000_000.25, 250.0
    return made


def test_a_line_for_people_has_the_date_the_level_the_call_and_the_message() -> None:
    call = copy_context()
    call.run(logs.request_id.set, "call-7")
    line = call.run(logs.Human().format, record("hello"))
    assert re.fullmatch(r"2023-11-1[45] \d\d:\d\d:\d\d warning call-7 +hello", line)


def test_a_line_for_programs_has_these_keys() -> None:
    assert json.loads(logs.Json().format(record("hello"))) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "WARNING",
        "logger": "a.logger",
        "request_id": "-",
        "message": "hello",
    }


def test_what_is_written_comes_out_in_order(pipe: tuple[int, int]) -> None:
    outlet = outlet_to(pipe[1])
    for number in range(100):
        outlet.write(b"%d\n" % number)
    assert read_all(pipe, outlet).split()[:-2] == [b"%d" % number for number in range(100)]


@pytest.mark.parametrize("blocking", [True, False])
def test_a_reader_that_stopped_holds_nobody_up_and_hears_later_what_it_missed(
    pipe: tuple[int, int], blocking: bool
) -> None:
    os.set_blocking(pipe[1], blocking)
    outlet = outlet_to(pipe[1])
    written = 0
    while outlet.drain(0.5):  # until the pipe is full
        written += 100
        assert outlet.write(100 * LINE) == 100 * len(LINE)
    for _ in range(1000):  # far more than the outlet holds
        written += 1
        outlet.write(LINE)
    read = b""
    while b"lost" not in read:
        read += os.read(pipe[0], 65536)
    read += read_all(pipe, outlet)
    came, lost = read.count(LINE), re.findall(rb"^(\d+) lost$", read, re.MULTILINE)
    assert lost, "it was not told how many lines it missed"
    assert came + sum(map(int, lost)) == written


def test_a_reader_that_left_loses_its_lines_and_nothing_else() -> None:
    """As with a full disk: what comes after it has room again is written, and says what was lost."""
    reader, writer = os.pipe()
    os.close(reader)
    outlet = outlet_to(writer)
    outlet.write(b"lost\nlost\n")
    assert outlet.drain(PATIENCE)
    other = os.pipe()
    os.dup2(other[1], writer)
    assert read_all(other, outlet) == b"the end\n2 lost\n"
    for descriptor in (writer, *other):
        os.close(descriptor)


def test_each_line_bears_the_id_of_the_call_that_logged_it() -> None:
    code = """if True:
        import asyncio, logging
        from safelight_server import logs
        logs.start("human", "info")
        async def call(name):
            logs.request_id.set(name)
            await asyncio.sleep(0.01)
            logging.info("from %s", name)
        async def main():
            await asyncio.gather(*map(call, ("first", "second")))
        asyncio.run(main())"""
    assert sorted(re.findall(r"(\w+) +from (\w+)", python(code).stderr)) == [("first", "first"), ("second", "second")]


def test_lines_appear_although_a_library_has_set_up_logging() -> None:
    code = """if True:
        import logging
        logging.warning("a library talks, and sets up logging by it")
        from safelight_server import logs
        logs.start("human", "info")
        logging.info("hello")"""
    assert re.search(r"^20.* hello$", python(code).stderr, re.MULTILINE)


def test_the_end_of_a_program_waits_for_its_last_words() -> None:
    """Its log lines, and the traceback that Python writes."""
    code = """if True:
        import logging
        from safelight_server import logs
        logs.start("human", "info")
        for number in range(1000):
            logging.info("line %d", number)
        raise ValueError("the last word")"""
    said = python(code).stderr
    assert said.count("  line ") == 1000
    assert said.endswith("ValueError: the last word\n")


def test_the_end_of_a_program_does_not_wait_for_ever() -> None:
    code = """if True:
        import logging
        from safelight_server import logs
        logs.start("human", "info")
        for number in range(10_000):
            logging.info("line %d", number)"""
    reader, writer = os.pipe()
    with subprocess.Popen([sys.executable, "-c", code], stderr=writer) as process:
        assert process.wait(PATIENCE) == 0
    os.close(reader)
    os.close(writer)


def test_closed_standard_files_are_filled_before_a_library_opens_files_of_its_own() -> None:
    code = """if True:
        import safelight_server.__main__
        import logging, os
        assert {os.fstat(number).st_rdev for number in (0, 1, 2)} == {os.stat(os.devnull).st_rdev}
        from safelight_server import logs
        logs.start("human", "info")
        logging.info("for nobody")"""
    ended = python(code, "0<&- 1>&- 2>&-")
    assert (ended.returncode, ended.stderr) == (0, "")
