"""Ten times the calls that can be done, with deadlines: what is done in time, and how soon the rest is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from abusing.finding import Effort, Finding, at_least, at_most, percentile
from abusing.process import Asker, Server, ask_together

CLIENTS = 4
JOB = {"width": 128, "height": 128, "steps": 8}
TIMES = 10  # the load over what can be done, and the deadline over the time that a job takes alone


def measure(effort: Effort) -> Iterator[Finding]:
    seconds = effort.pick(20.0, 6.0)  # that are counted
    with Server("--no-verify") as server:
        _peak(server.address, 3.0)  # the server learns how long its steps take
        before, alone = _peak(server.address, seconds)
        begin, end = TIMES * alone, TIMES * alone + seconds  # after a deadline all is as it stays
        calls, checks = _storm(server.address, TIMES * before, begin, end)
        after, _ = _peak(server.address, seconds)
    took = {code: [c["ended"] - c["began"] for c in calls if c["code"] == code] for code in {c["code"] for c in calls}}
    done, late = took.get("OK", []), took.get("DEADLINE_EXCEEDED", [])
    refused, peak = took.get("RESOURCE_EXHAUSTED", []), (before + after) / 2
    others = len(calls) - len(done) - len(late) - len(refused)
    yield at_least("calls refused, for there were too many", len(refused), 10, control=True)
    in_time = sum(c["code"] == "OK" and begin <= c["ended"] <= end for c in calls)
    name = f"goodput over the peak ({in_time / seconds:.1f} a second, {before:.1f} before, {after:.1f} after)"
    yield at_least(name, 100 * in_time / seconds / peak, 95, " %")
    yield at_most("late among the admitted", 100 * len(late) / max(1, len(done) + len(late)), 1, " %")
    yield at_most("refusals, median", 1000 * percentile(refused, 0.5), 10, " ms")
    yield at_most("refusals, p99", 1000 * percentile(refused, 0.99), 10, " ms")
    floor = f"{percentile(checks, 0.5) * 1000:.3g} and {percentile(checks, 0.99) * 1000:.3g} ms"
    yield at_least(
        f"checks of health meanwhile, which are no work: median and p99 {floor}", len(checks), 10, control=True
    )
    yield at_most(f"other answers, of {len(calls)}", others, 0)


def _peak(address: str, seconds: float) -> tuple[float, float]:
    """Jobs a second when there is always one to do; and the seconds of a job alone."""
    [alone] = ask_together([Asker(address, streams=1, seconds=seconds / 2, job=JOB)], seconds + 120)
    many = ask_together([Asker(address, streams=4, seconds=seconds, job=JOB)], seconds + 120)
    done = [c for told in many for c in told if c["code"] == "OK" and c["ended"] <= seconds]
    return len(done) / seconds, percentile([c["ended"] - c["began"] for c in alone if c["code"] == "OK"], 0.5)


def _storm(address: str, rate: float, deadline: float, seconds: float) -> tuple[list[dict[str, Any]], list[float]]:
    """What became of the calls; and the seconds of checks of health, from one more process."""
    what = {"rate": rate / CLIENTS, "deadline": deadline, "seconds": seconds, "job": JOB}
    askers = [Asker(address, **what) for _ in range(CLIENTS)]
    *told, checks = ask_together([*askers, Asker(address, rate=5, seconds=seconds, job=None)], seconds + 120)
    return [call for calls in told for call in calls], [check["ended"] - check["began"] for check in checks]
