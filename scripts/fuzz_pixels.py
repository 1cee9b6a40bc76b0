"""Runs the C extension on calls drawn by chance, and holds each execution against the NumPy twin. See --help.

One execution is one call of a C function with buffers of its own. Every call drawn is made once by the twin and
PLACES times by C, at other offsets in its buffers, the last time with memoryviews; of one seed in 32 all at once, on
threads. Both must write the same bits (a NaN is a NaN) or raise the same exception about the same argument. Inputs,
the bytes before an array and all arrays of a refused call must stay as they were, and no reference may be kept. What
lies after an array is the address sanitizer's to watch (scripts/fuzz).
"""

from __future__ import annotations

import argparse
import mmap
import os
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
from fuzzing.calls import GUARD, Call, Made, Plain
from fuzzing.draws import FUNCTIONS, draw_call
from safelight_server.pixels import _native, _numpy

PLACES = 4
SEEDS_PER_THREADED = 32
PROGRESS_S = 30


class Disagreement(Exception):
    """C and NumPy did not do the same."""


@dataclass
class Tally:
    """Executions by function and by what came of them."""

    counts: Counter[tuple[str, bool]] = field(default_factory=Counter)
    drawn: int = 0

    def table(self) -> Iterator[str]:
        yield f"{self.counts.total():,} executions of {self.drawn:,} calls drawn"
        yield "| function | executions | drew | refused |\n|---|---|---|---|"
        for function in FUNCTIONS:
            drew, refused = (self.counts[function, accepted] for accepted in (True, False))
            yield f"| `{function}` | {drew + refused:,} | {drew:,} | {refused:,} |"


def fuzz(
    low: Any = _native,
    *,
    executions: int,
    seed: int = 0,
    only: Sequence[str] = FUNCTIONS,
    mark: Callable[[str, int], object] = lambda function, seed: None,
) -> Tally:
    """Runs `low` from this seed on until there are so many executions; Disagreement where one is not the twin's.

    `mark` is told of every call before it runs.
    """
    tally, started, told = Tally(), time.monotonic(), time.monotonic()
    calls = ((function, number) for number in count(seed) for function in only)
    with ThreadPoolExecutor(4) as pool:
        while tally.counts.total() < executions:
            function, number = next(calls)
            mark(function, number)
            run = pool.map if number % SEEDS_PER_THREADED == 0 else map
            tally.counts[function, check(low, draw_call(function, number), run)] += PLACES
            tally.drawn += 1
            if time.monotonic() > told + PROGRESS_S:
                told = time.monotonic()
                print(_progress(tally.counts.total(), executions, told - started, number), flush=True)
    return tally


def _progress(done: int, executions: int, seconds: float, seed: int) -> str:
    left, memory = (executions - done) * seconds / done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    share, rate = done / executions, done / seconds
    return f"{done:,} ({share:.1%}), {rate:,.0f} a second, {left:,.0f} s left, at seed {seed}, peak {memory:.0f} MiB"


def check(low: Any, call: Call, run: Callable[..., Any]) -> bool:
    """Whether the call was accepted; Disagreement where one of its executions is not like the twin's."""
    want = call.make(0)
    expected = outcome(getattr(_numpy, call.function), want.arguments)
    made = [call.make(offset, views=offset == PLACES - 1) for offset in range(PLACES)]
    held = [references(each) for each in made]
    function = getattr(low, call.function)
    for offset, (got, each) in enumerate(zip(run(lambda m: outcome(function, m.arguments), made), made, strict=True)):
        if got != expected:
            raise Disagreement(f"offset {offset}: {got or 'drew'}, NumPy: {expected or 'drew'}")
        compare(each, want, offset)
    if held != [references(each) for each in made]:
        raise Disagreement("an argument is still held")
    return not expected


def references(made: Made) -> list[int]:
    return [sys.getrefcount(each) for each in made.arguments if isinstance(each, np.ndarray | memoryview)]


def outcome(function: Callable[..., object], arguments: Sequence[Any]) -> str:
    """ "" where the function draws; else the exception and, where Python does not word it, the argument it names."""
    try:
        function(*arguments)
    except ValueError as error:
        return f"ValueError: {str(error).split()[0]}"
    except Exception as error:
        return type(error).__name__
    return ""


def compare(got: Made, want: Made, offset: int) -> None:
    for i, (ours, theirs) in enumerate(zip(got.watched, want.watched, strict=True)):
        if ours.tobytes() != theirs.tobytes() and (different := _differences(ours, theirs)).size:
            at = tuple(map(int, different[0]))
            found = f"array {i} at {at}: {ours[at]!r}, NumPy: {theirs[at]!r}, and {len(different) - 1} more"
            raise Disagreement(f"offset {offset}, {found}")
    for i, guard in enumerate(got.guards):
        if guard.size and guard.tobytes().strip(bytes([GUARD])):
            raise Disagreement(f"offset {offset}: written to before array {i}")


def _differences(ours: Plain, theirs: Plain) -> npt.NDArray[np.intp]:
    """The indices where the bits differ; a NaN is like any other."""
    bits = np.dtype(f"u{ours.itemsize}")
    return np.argwhere((ours.view(bits) != theirs.view(bits)) & ~((ours != ours) & (theirs != theirs)))


# ---- the command: it runs in a child, so that something is left to tell of a crash ----


def supervise(low: Any, executions: int, seed: int, only: Sequence[str]) -> int:
    """The exit status of a run; of one that failed or died, how to repeat its last call is printed."""
    note = mmap.mmap(-1, 64)

    def mark(function: str, number: int) -> None:
        note[:] = f"{function} {number}".encode().ljust(64)

    child = os.fork()
    if not child:
        os._exit(_run(low, executions, seed, only, mark))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        function, number = note[:].decode().split()
        print(f"failed ({status}): scripts/fuzz --seed {number} --only {function} --executions {PLACES}")
        print(draw_call(function, int(number)), flush=True)
    return int(status != 0)


def _run(low: Any, executions: int, seed: int, only: Sequence[str], mark: Callable[[str, int], None]) -> int:
    try:
        tally = fuzz(low, executions=executions, seed=seed, only=only, mark=mark)
        print(*tally.table(), sep="\n", flush=True)
    except Disagreement as told:
        print(told, flush=True)
        return 1
    except BaseException:
        traceback.print_exc()
        return 2
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=100_000, metavar="N", help="how many, default 100000")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first calls, default 0; then the next")
    parser.add_argument("--only", nargs="+", choices=FUNCTIONS, default=FUNCTIONS, metavar="FUNCTION")
    chosen = parser.parse_args(arguments)
    sanitized = "sanitized" if "libasan" in os.environ.get("LD_PRELOAD", "") else "not sanitized"
    print(f"{_native.INSTRUCTIONS}, {sanitized}, NumPy {np.__version__}, from seed {chosen.seed}", flush=True)
    return supervise(_native, chosen.executions, chosen.seed, chosen.only)


if __name__ == "__main__":
    sys.exit(main())
