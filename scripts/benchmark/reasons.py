"""Why goals are not met, as far as it is known, by row and case. Its figures were taken by hand, on 2026-11-25."""

from __future__ import annotations

from .figures import Figure

REASONS: dict[tuple[int, str], str] = {
    (6, "vegart-512"): (
        "a preview is one run of the tiny decoder: 82 ms at 256 px, as the lane saw it, so that four are 5.1 % of "
        "these steps; the rest is how far pictures of 13 s differ from each other"
    ),
    (7, "demo"): (
        "OpenVINO stops between two nodes of a graph, and at 1024 px this small UNet has three attentions that take an "
        "eighth of a step each; a UNet of full size has none like that"
    ),
    (9, "demo"): (
        "the lane is busy for 95 % of the time, and half of that is the VAE decoder, which has to be exact and keeps "
        "both cores busy by itself (8 rows in one batch, or two streams, are 1.1 times as fast as one by one); the "
        "steps of the UNet are joined, which gives 1.4 times the rows a second at this size"
    ),
    (10, "vegart-256"): (
        "drawing the picture is nearly half of genai's time, and reading, compiling and packing 3 GB of weights the "
        "other; the server reads all files for their SHA-256 as well, before it compiles any (1.2 s), and tries which "
        "batches pay (0.8 s)"
    ),
}


FOUND_ON = "AMD EPYC avx512f avx512_bf16 avx512_vnni"  # what holds there need not hold on another processor


def reason(figure: Figure, processor: str) -> str:
    known = REASONS if processor == FOUND_ON else {}
    return known.get((figure.row, figure.case), "not looked into yet")
