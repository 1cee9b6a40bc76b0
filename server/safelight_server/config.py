"""What a server is told when it starts: a field for each option of `serve`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .access import tls as tls_files
from .models.device import Device
from .rpc import listening

VERIFY = ("once", "always", "never")  # once: until their sizes, times or inodes change


@dataclass(frozen=True)
class Config:
    folders: Mapping[str, Path]
    listen: listening.Address = listening.DEFAULT
    http: listening.Address | None = None  # None: no HTTP door
    metrics: listening.Address | None = None  # of a door of their own; they are at the HTTP door as well
    traces: bool = False  # to be sent by OTLP, as the OTEL_* variables say
    devices: Mapping[str, Device] = field(default_factory=dict)  # by model
    new_device: Device = field(default_factory=Device)  # of models that are new at run time
    own_lane: Collection[str] = ()  # models with cores of their own, that work beside those on the same device
    slots: int = 16
    queue: int = 32
    share: int | None = None  # jobs of one caller at a time; None: as many as there is room for
    max_wait: float = 600.0  # seconds of work before a new job
    max_edge: int = 2048
    grace: float = 30.0
    state_dir: Path | None = None  # where jobs are stored; None: in memory
    store_bytes: int = 4 * 2**30
    verify: str = "once"  # how the models' files are checked: one of VERIFY
    cache: Path | None = None  # a folder for what the next start need not do; None: it does all of it
    models_root: Path | None = None  # below which lie the folders that may be loaded at run time; None: none may
    memory_limit: int | None = None  # bytes of the process, for a model to be loaded
    idle_unload: float | None = None  # seconds until a model that nobody asks for is unloaded
    tls: tls_files.Files | None = None
    tokens: Path | None = None  # a file of them; None: everybody may call
    insecure: bool = False  # to be open to others without both

    @property
    def addresses(self) -> dict[str, listening.Address]:
        """Where it listens, by the option that says so."""
        told = {"--listen": self.listen, "--http": self.http, "--metrics": self.metrics}
        return {option: address for option, address in told.items() if address is not None}
