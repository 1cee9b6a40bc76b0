"""The systems of one case: started when a row first needs them, kept for the next, stopped together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import TracebackType

from .asked import Asked
from .checks import Verdict, verdict
from .folders import Model
from .ours import Ours
from .peers.process import Peer
from .server import Server


class CheckFailed(RuntimeError):
    """What would be timed does not draw the same pictures."""


class Session:
    """`models`: the folders of all that is drawn with. Logs go to `logs`."""

    def __init__(self, models: Mapping[str, Model], precision: str, logs: Path) -> None:
        self.models, self.precision, self.logs = models, precision, logs
        self._running = ExitStack()
        self._ours: Ours | None = None
        self._peers: dict[str, Peer] = {}
        self._verdicts: dict[Asked, Verdict] = {}

    @property
    def ours(self) -> Ours:
        """A server of all models."""
        if self._ours is None:
            self._ours = self._running.enter_context(closing(Ours(self.server(*self.models))))
        return self._ours

    def server(self, *names: str, precision: str | None = None, options: Sequence[str] = (), **more: str) -> Server:
        """A server of its own, of these models; the caller closes it.

        `options`: of its command line. `more`: `module`, what runs in place of safelight_server, and its environment.
        """
        folders = {name: self.models[name].ours for name in names}
        options = [f"--precision={precision or self.precision}", *options]
        return Server(folders, self.logs / "server.log", *options, **more)

    def peer(self, kind: str) -> Peer:
        if kind not in self._peers:
            self._peers[kind] = self._running.enter_context(closing(self.new_peer(kind)))
        return self._peers[kind]

    def new_peer(self, kind: str, precision: str | None = None) -> Peer:
        """A process of its own; the caller closes it."""
        folders = {name: model.peers for name, model in self.models.items()}
        return Peer(kind, folders, precision or self.precision, self.logs)

    def check(self, asked: Asked) -> str:
        """Holds the pictures of all systems against each other, once; what came of it. Raises CheckFailed."""
        if asked not in self._verdicts:
            self.close()  # in f32 a full-size model takes twice the memory
            ours = partial(self.server, asked.model, precision="f32")
            self._verdicts[asked] = verdict(asked, ours, partial(self.new_peer, precision="f32"))
        found = self._verdicts[asked]
        if not found.equal:
            raise CheckFailed(found.told)
        return found.told

    def close(self) -> None:
        """Stops all that runs; what is needed later is started again."""
        self._running.close()
        self._ours, self._peers = None, {}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
