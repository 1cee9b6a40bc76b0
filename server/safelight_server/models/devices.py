"""Which devices OpenVINO finds on this machine, and whether those that were asked for are among them."""

from __future__ import annotations

from collections.abc import Iterable

import openvino as ov

from safelight_server.errors import LoadError

VIRTUAL = ("AUTO", "BATCH", "HETERO", "MULTI")  # made of the devices that stand behind their colon


def check(names: Iterable[str]) -> None:
    """Raises LoadError for the first name that is no device here; it tells all that are."""
    found = ov.Core().available_devices
    for name in names:
        if not _is_there(name, found):
            raise LoadError(f"--device {name}: there is no such device; there are {', '.join(found)}")


def _is_there(name: str, found: Iterable[str]) -> bool:
    kind, _, parts = name.partition(":")
    if kind in VIRTUAL:
        return all(_is_there(part.partition("(")[0], found) for part in parts.split(",") if part)
    # With several of a kind, the first answers to the name of the kind.
    return any(name in (device, device.partition(".")[0], f"{device}.0") for device in found)
