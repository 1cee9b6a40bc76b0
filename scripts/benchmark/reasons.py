"""Why a goal is not met, as far as it is known: by row and case."""

from __future__ import annotations

from .figures import Figure

REASONS: dict[tuple[int, str], str] = {
    (9, "demo"): (
        "half of such a job is the VAE decoder, which keeps both cores busy by itself (4 rows in one batch are 1.18 "
        "times as fast as one by one), and it has to be exact; the steps of the UNet are joined, at 1.6 to 2 times"
    ),
    (10, "vegart-256"): (
        "before it is ready the server reads all files for their SHA-256, compiles the VAE's encoder too, and runs "
        "every network once; its memory has the VAE's encoder and gRPC beside what the peers have"
    ),
}


def reason(figure: Figure) -> str:
    return REASONS.get((figure.row, figure.case), "not looked into yet")
