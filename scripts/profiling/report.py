"""What was measured, as values for a file of JSON and as tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from . import kinds, peaks
from .networks import Subject
from .runs import Taken

SHOWN = 12  # convolutions


def peaks_of(probes: Mapping[str, peaks.Probe], taken: Mapping[str, Taken]) -> dict[str, Any]:
    """By peak and probe, what it does in a second, by the counter of its one operation; and by convolution, what the
    whole probe does in a second of one core, which hardly hangs on what else the machine does.
    """
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for name, probe in probes.items():
        of_kind = {peaks.CONVOLUTION: kinds.CONVOLUTION, peaks.MATMUL: kinds.MATMUL}.get(probe.peak, kinds.ELEMENTWISE)
        found[probe.peak][name] = round(probe.work / taken[name].by_kind[of_kind], 1)
    of_core = (one.work / taken[name].cores for name, one in probes.items() if one.peak == peaks.CONVOLUTION)
    return {"peaks": dict(found), "convolutionOfCore": round(max(of_core), 1)}


def network(subject: Subject, taken: Taken) -> dict[str, Any]:
    kinds_ = {
        kind: {"seconds": taken.by_kind.get(kind, 0.0), "gflop": round(subject.work.get(kind, 0.0), 2)}
        for kind in kinds.KINDS
    }
    return {
        "part": subject.part,
        "way": subject.way,
        "seconds": taken.wall,
        "coreSeconds": taken.cores,
        "kinds": kinds_,
        "convolutions": _layers(subject, taken),
    }


def _layers(subject: Subject, taken: Taken) -> list[dict[str, Any]]:
    """Convolutions of one shape together, those that take longest first."""
    seconds: dict[str, float] = defaultdict(float)
    work: dict[str, float] = defaultdict(float)
    count: Counter[str] = Counter()
    for name, (shape, gflop) in subject.layers.items():
        if name in taken.by_name:
            seconds[shape] += taken.by_name[name]
            work[shape] += gflop
            count[shape] += 1
    longest = sorted(seconds, key=lambda shape: -seconds[shape])[:SHOWN]
    return [
        {"shape": shape, "count": count[shape], "seconds": seconds[shape], "gflop": round(work[shape], 2)}
        for shape in longest
    ]


def best(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {peak: max(rates.values()) for peak, rates in found.items()}


def tables(run: Mapping[str, Any]) -> str:
    """Markdown: the peaks, and for each network its kinds and its convolutions."""
    top = best(run["peaks"])
    machine, moment = run["machine"], run["moment"]
    lines = [
        f"## {run['model']}, {run['size']} px",
        "",
        f"{moment['when']} UTC, commit {moment['commit']}; {machine['processor']}, {machine['cores']} cores, OpenVINO "
        f"{machine['packages']['openvino']}; load {moment['loadBefore']} before, {moment['load']} after; the least of "
        f"{run['rounds']} rounds.",
        "",
        *("| peak | measured | by |", "|---|---|---|"),
    ]
    for peak, rates in run["peaks"].items():
        name = max(rates, key=lambda name: rates[name])
        lines.append(f"| {peak} | {rates[name]:.1f} {peaks.UNITS[peak]} | {name} |")
    for one in run["networks"]:
        lines += ["", f"**{run['model']}, {one['part']}, {run['size']} px, {one['way']}.** {_whole(run, one)}", ""]
        lines += [*_kinds(one, top), "", *_convolutions(one, top)]
    return "\n".join(lines)


def _whole(run: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    gflop = sum(kind["gflop"] for kind in one["kinds"].values())
    rate = gflop / one["coreSeconds"]
    top = run["convolutionOfCore"]
    return (
        f"{_time(one['seconds'])}; {_time(one['coreSeconds'])} of cores for {gflop:.1f} GFLOP: {rate:.1f} GFLOP in a "
        f"second of a core, {rate / top:.0%} of the best convolution's {top:.1f}"
    )


def _kinds(one: Mapping[str, Any], top: Mapping[str, float]) -> list[str]:
    counted = sum(kind["seconds"] for kind in one["kinds"].values())
    lines = ["| kind | time | share | GFLOP | GFLOP/s | of the peak |", "|---|---|---|---|---|---|"]
    for name, kind in one["kinds"].items():
        share = f"{kind['seconds'] / counted:.1%}"
        rate = kind["gflop"] / kind["seconds"] if kind["seconds"] and kind["gflop"] else None
        of_peak = f"{rate:.1f} | {rate / top[peaks.PEAK_OF[name]]:.0%}" if rate else "|"
        lines.append(f"| {name} | {_time(kind['seconds'])} | {share} | {kind['gflop'] or ''} | {of_peak} |")
    return lines


def _convolutions(one: Mapping[str, Any], top: Mapping[str, float]) -> list[str]:
    lines = ["| convolutions | how many | time | GFLOP/s | of the peak |", "|---|---|---|---|---|"]
    for layer in one["convolutions"]:
        rate = layer["gflop"] / layer["seconds"]
        share = f"{rate / top[peaks.CONVOLUTION]:.0%}"
        lines.append(f"| {layer['shape']} | {layer['count']} | {_time(layer['seconds'])} | {rate:.1f} | {share} |")
    return lines


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
