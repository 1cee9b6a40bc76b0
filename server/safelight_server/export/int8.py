"""Which graphs of a model INT8 is asked for, and how each is to be rewritten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from safelight_server.errors import LoadError

# What --int8 names, and the graphs that it stands for. A model may lack some: a refiner has one text encoder.
PARTS: Mapping[str, tuple[str, ...]] = {
    "unet": ("unet",),
    "vae": ("vae_decoder",),
    "text": ("text_encoder", "text_encoder_2"),
}
ALL, DEFAULT = "all", "unet"
RECORD = "int8.json"  # beside a graph that was rewritten: what was measured of it
CALIBRATED = ("ptq", "hybrid")  # modes; "weights" needs no samples

Modes = Mapping[str, str]  # of each graph that is rewritten: a key of quantize.MODES


def modes(asked: str | None, mode: str | None, *, vae: bool = False) -> dict[str, str]:
    """The graphs that --int8 (`asked`), --int8-mode and --int8-vae stand for. Raises LoadError for a name of none.

    --int8-mode alone is of the UNet; --int8-vae adds the decoder, always as "ptq".
    """
    names = _names(asked) if asked else [DEFAULT] if mode else []
    found = {graph: mode or "ptq" for name in names for graph in PARTS[name]}
    return found | (dict.fromkeys(PARTS["vae"], "ptq") if vae else {})


def calibrates(found: Modes) -> bool:
    """Whether one of them is fitted to samples."""
    return any(mode in CALIBRATED for mode in found.values())


def _names(asked: str) -> Iterable[str]:
    if asked == ALL:
        return PARTS
    names = [name.strip() for name in asked.split(",")]
    if not set(names) <= PARTS.keys():
        raise LoadError(
            f"--int8 must be {ALL}, or of {', '.join(PARTS)} some with commas between, not {asked!r}; "
            "where it comes before SOURCE, write --int8=unet"
        )
    return names
