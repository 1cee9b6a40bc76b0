"""What the files of a folder tell of its model."""

from __future__ import annotations

from pathlib import Path

from safelight_server.model_folder import model_config
from safelight_server.model_folder.model_config import Latents


def test_the_files_tell_what_a_model_is(folders: dict[str, str]) -> None:
    read = {kind: model_config.read(Path(folder)) for kind, folder in folders.items()}
    assert {kind: config.kind for kind, config in read.items()} == {
        "base": "base", "zero_snr": "base", "vega_lcm": "base", "refiner": "refiner", "inpaint": "inpaint"
    }  # fmt: skip
    assert read["refiner"].encoders == ("text_encoder_2",)
    assert (read["vega_lcm"].scheduler, read["vega_lcm"].guidance_embedding) == ("lcm", 16)
    assert (read["base"].native_edge, read["base"].latents) == (128, Latents(4, 8, 0.13025, None, None))
