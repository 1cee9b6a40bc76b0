"""scripts/profile: work counted by hand, and a run on a demo model: every counter has a kind, and all is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as opset
from profiling import __main__ as profile
from profiling import kinds, networks, report
from safelight_server import demo
from safelight_server.models.device import Device

DEMO = demo.FOLDERS["demo-xl"]


def parameter(*shape: int) -> Any:
    return opset.parameter(list(shape), ov.Type.f32)


def zeros(*shape: int) -> Any:
    return opset.constant(np.zeros(shape, np.float32))


def test_the_work_is_two_for_each_multiplication() -> None:
    picture, rows, asked, known = parameter(1, 3, 8, 6), parameter(5, 4), parameter(2, 7, 10), parameter(2, 9, 10)
    convolution = opset.convolution(picture, zeros(2, 3, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1])
    doubled = opset.convolution_backprop_data(
        picture, zeros(3, 2, 4, 4), strides=[2, 2], pads_begin=[1, 1], pads_end=[1, 1]
    )
    results = [
        convolution,
        doubled,
        opset.matmul(rows, zeros(11, 4), False, True),
        opset.matmul(rows, zeros(5, 11), True, False),
        opset.scaled_dot_product_attention(asked, known, known),
    ]
    graph = ov.Model(results, [picture, rows, asked, known])
    work = kinds.gflop(graph)
    assert work[kinds.CONVOLUTION] == pytest.approx(2e-9 * (2 * 8 * 6 * 3 * 9 + 3 * 8 * 6 * 2 * 16))
    assert work[kinds.MATMUL] == pytest.approx(2e-9 * (5 * 11 * 4 + 4 * 11 * 5))
    assert work[kinds.ATTENTION] == pytest.approx(2e-9 * 2 * 7 * 9 * (10 + 10))
    told = {shape for shape, _ in kinds.convolutions(graph).values()}
    assert told == {"3 to 2, 3x3, 8x6", "3 to 2, 4x4, doubled, 16x12"}


def test_a_doubling_has_four_ninths_of_the_work() -> None:
    before, after = networks.subjects(DEMO, ["vae_decoder"], 64, 1, Device(precision="f32"))
    assert (before.way, after.way) == (networks.FILE, networks.SERVED)

    def doubling(subject: networks.Subject) -> float:
        return sum(gflop for name, (_, gflop) in subject.layers.items() if "upsamplers" in name)

    assert doubling(after) == pytest.approx(doubling(before) * 4 / 9)


@pytest.mark.parametrize(
    ("type", "name", "kind"),
    [
        ("Subgraph", "up_blocks.0.attentions.0.transformer_blocks.0.attn1/aten::transpose", kinds.ATTENTION),
        ("Subgraph", "up_blocks.0.resnets.0/Add", kinds.ELEMENTWISE),
        ("Reorder", "whatever", kinds.MOVES),
        ("ShapeOf", "whatever", kinds.OTHER),
    ],
)
def test_a_counter_has_a_kind(type: str, name: str, kind: str) -> None:
    assert kinds.kind(type, name) == kind


def test_a_run_is_told_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, page = tmp_path / "runs.json", tmp_path / "page.md"
    page.write_text(f"# By hand\n\n{profile.MARK}What was there.\n", encoding="utf-8")
    command = f"profile {DEMO} --size 64 --rounds 1 --precision f32 --json {kept} --page {page}"
    monkeypatch.setattr(sys, "argv", command.split())
    monkeypatch.setattr(profile, "PROBED", 1)
    profile.main()
    (run,) = json.loads(kept.read_text(encoding="utf-8"))
    ways = [(one["part"], one["way"]) for one in run["networks"]]
    assert ways == [("vae_decoder", networks.FILE), ("vae_decoder", networks.SERVED), ("unet", networks.FILE)]
    assert all(rate > 0 for rates in run["peaks"].values() for rate in rates.values())
    for one in run["networks"]:
        assert all(one["kinds"][kind]["seconds"] > 0 for kind in (kinds.CONVOLUTION, kinds.MATMUL, kinds.ATTENTION))
        assert (
            0 < sum(layer["gflop"] for layer in one["convolutions"]) <= one["kinds"][kinds.CONVOLUTION]["gflop"] * 1.01
        )
    tables = report.tables(run)
    assert tables in capsys.readouterr().out
    assert page.read_text(encoding="utf-8") == f"# By hand\n\n{profile.MARK}\n{tables}\n"
    assert page.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_a_run_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    kept = tmp_path / "runs.json"
    runs = [
        {"machine": {"processor": processor}, "model": "demo-xl", "size": size, "rounds": rounds}
        for processor, size, rounds in (("this", 64, 1), ("this", 128, 2), ("that", 64, 3), ("this", 64, 4))
    ]
    for run in runs:
        profile.write(kept, run)
    assert [run["rounds"] for run in json.loads(kept.read_text(encoding="utf-8"))] == [2, 3, 4]
