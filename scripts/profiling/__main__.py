"""scripts/profile: networks of a model folder by kind of operation, beside the peaks of this processor."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmark import machine
from safelight_server.models.device import Device

from . import chart, networks, peaks, report
from .runs import Network, in_turns

MARK = "<!-- Below: scripts/profile --page -->\n"
PROBED = 8  # times a turn: a probe takes milliseconds, so that some meet no other work


def main() -> None:
    options = parser().parse_args()
    if options.folder is not None:
        run = measure(options.folder, options)
        print(report.tables(run))
        if options.json:
            write(options.json, run)
    if options.page:
        tell(options.page, json.loads(options.json.read_text(encoding="utf-8")))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Peaks and networks take turns, so that what else the machine does meets all of them."""
    device = Device(precision=options.precision)
    probes = peaks.probes()
    subjects = networks.subjects(folder, options.part or networks.PARTS, options.size, options.rows, device)
    before = machine.load()
    tops = {name: Network(probe.graph, probe.given, Device(precision="f32"), PROBED) for name, probe in probes.items()}
    bodies = [Network(subject.graph, subject.given, device) for subject in subjects]
    in_turns([*tops.values(), *bodies], options.rounds)
    return {
        "model": folder.resolve().name,
        "size": options.size,
        "rounds": options.rounds,
        "machine": machine.facts(),
        "moment": machine.moment() | {"loadBefore": before},
        **report.peaks_of(probes, {name: top.least() for name, top in tops.items()}),
        "networks": [report.network(subject, body.least()) for subject, body in zip(subjects, bodies, strict=True)],
    }


def write(file: Path, run: dict[str, Any]) -> None:
    """In the place of an earlier run of the same model and size on such a processor."""

    def key(run: dict[str, Any]) -> tuple[Any, ...]:
        return run["machine"]["processor"], run["model"], run["size"]

    runs = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    runs = [*(one for one in runs if key(one) != key(run)), run]
    file.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


def tell(page: Path, runs: list[dict[str, Any]]) -> None:
    """Below its mark, the page has the tables of all runs."""
    above = page.read_text(encoding="utf-8").partition(MARK)[0] if page.exists() else ""
    text = "\n\n".join(report.tables(run) for run in runs)
    page.write_text(f"{above}{MARK}\n{text}\n", encoding="utf-8")
    chart.draw(page.with_suffix(".png"), runs)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="scripts/profile", description=__doc__)
    top.add_argument("folder", nargs="?", type=Path, metavar="MODEL_FOLDER", help="left out: only --page is written")
    top.add_argument("--size", type=int, default=256, metavar="PX", help="edge of the picture (%(default)s)")
    top.add_argument(
        "--part", action="append", metavar="NAME", help="vae_decoder, unet, ...; may come again (those two)"
    )
    top.add_argument("--rows", type=int, default=1, metavar="N", help="of the UNet; guidance has 2 (%(default)s)")
    top.add_argument("--rounds", type=int, default=3, metavar="N", help="beside the first (%(default)s)")
    top.add_argument("--precision", choices=("f32", "bf16", "f16"), help="of the networks (the device's own)")
    top.add_argument("--json", type=Path, metavar="FILE", help="keep the run there, beside others")
    top.add_argument(
        "--page", type=Path, metavar="FILE", help="tell there of all runs that --json has, with a chart beside"
    )
    return top


if __name__ == "__main__":
    main()
