"""What Verify says is otherwise, of two receipts that differ in one thing."""

from __future__ import annotations

from typing import Any

import pytest
from safelight.v1 import images_pb2 as images
from safelight_server.contract.receipts import Claim

HERE: dict[str, Any] = {"name": "xl", "seal": "5ea1", "precision": "f32", "device": "CPU", "surgery": "norms 1"}


def receipt(**changed: str) -> images.Receipt:
    return images.Receipt(models=[images.ModelSeal(**(HERE | changed))], openvino_version="2026.4.1")


@pytest.mark.parametrize("field", ["seal", "precision", "device", "surgery"])
def test_a_model_that_was_otherwise_is_told(field: str) -> None:
    told = Claim(receipt(**{field: ""}), None, None).verdict(b"", receipt())
    assert list(told.differs) == [f"xl: {field} '' there, {HERE[field]!r} here"]


def test_a_part_in_another_precision_is_told() -> None:
    def of(**precisions: str) -> images.Receipt:
        return images.Receipt(models=[images.ModelSeal(**HERE, precisions=precisions)])

    there, here = of(unet="f32", vae_decoder="bf16", text_encoder="f32"), of(unet="f32", vae_decoder="f32")
    assert list(Claim(there, None, None).verdict(b"", here).differs) == ["xl: vae_decoder in bf16 there, in f32 here"]
    assert not Claim(of(), None, None).verdict(b"", here).differs, "one that was written before they were told"


def test_where_nothing_is_otherwise_nothing_is_told() -> None:
    assert not Claim(receipt(), None, None).verdict(b"", receipt()).differs
