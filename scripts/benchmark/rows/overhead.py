"""Row 8: what a request takes beside its inferences, from the client's call to its answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial

from safelight.pictures import Format

from benchmark.cases import Case
from benchmark.figures import Figure, Goal
from benchmark.metered import VARIABLE, Readings
from benchmark.ours import Ours
from benchmark.rounds import interleave
from benchmark.session import Session
from benchmark.summary import median, summary

FORMATS: tuple[Format, ...] = ("jpeg", "png")
GOALS = {"vegart-512": Goal(0.005)}


def measure(session: Session, case: Case) -> Iterator[Figure]:
    """The server runs with a meter, which records how long OpenVINO says that each inference took."""
    session.close()
    meter = session.logs / "meter"
    meter.write_bytes(b"")
    server = session.server(case.short.model, module="benchmark.metered", **{VARIABLE: str(meter)})
    with closing(Ours(server)) as ours:
        parts = interleave(
            {format: partial(_parts, ours, Readings(meter), case, format) for format in FORMATS},
            2 * case.rounds,
            f"row 8, {case.name}",
        )
    rest = {format: [rest for rest, _ in parts[format]] for format in FORMATS}
    unet = [unet for format in FORMATS for _, unet in parts[format]]
    samples = {
        "safelight, UNet": summary(unet),
        **{f"safelight, the rest, {format}": summary(values) for format, values in rest.items()},
    }
    for format in FORMATS:
        yield Figure(
            8,
            format.upper(),
            case.name,
            unit="%",
            value=median(rest[format]) / median(unet),
            goal=GOALS.get(case.name),
            samples=samples,
            note=f"{1000 * median(rest[format]):.1f} ms a request: gRPC, both Pythons, samplers, the file",
        )


def _parts(ours: Ours, readings: Readings, case: Case, format: Format, number: int) -> tuple[float, float]:
    """Seconds of one request outside inferences, and in those of the UNet."""
    readings.new()
    wall = ours.draw(replace(case.short, output=format).numbered(number))
    read = readings.new()
    unet = [seconds for network, seconds in read if network == "unet"]
    if len(unet) != case.short.steps:
        raise RuntimeError(f"the meter saw {len(unet)} inferences of the UNet, not {case.short.steps}")
    return wall - sum(seconds for _, seconds in read), sum(unet)
