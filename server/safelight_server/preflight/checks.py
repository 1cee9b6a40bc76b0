"""All that is looked at before a server is started, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from safelight_server.config import Config

from . import callers, folders, places, process
from .finding import Finding

Check = Callable[[Config], Iterator[Finding]]


def run(config: Config, *, seals: bool) -> Iterator[Finding]:
    """Each finding as it is made. Changes nothing; `seals`: every byte of the models is read."""
    checks: tuple[Check, ...] = (
        process.versions,
        process.extras,
        folders.models,
        partial(folders.seals, hashed=seals),
        folders.root,
        folders.on_devices,
        folders.in_memory,
        callers.exposed,
        callers.certificate,
        callers.tokens,
        places.addresses,
        places.store,
        places.cache,
        process.open_files,
    )
    for check in checks:
        yield from check(config)
