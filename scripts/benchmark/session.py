"""The systems of one case: started when a row first needs one, kept for the next row, stopped together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import TracebackType

from .checks import Verdict, verdict
from .folders import Model
from .ours import Ours
from .peers.kinds import EXACT, KINDS, OTHERS, PEERS
from .peers.process import Peer
from .request import Request
from .server import Server


class CheckFailed(RuntimeError):
    """The systems that would be timed do not draw the same pictures."""


class Session:
    """`models`: the folders of all models that the case draws with. Logs go to the folder `logs`."""

    def __init__(self, models: Mapping[str, Model], precision: str, logs: Path) -> None:
        self.models, self.precision, self.logs = models, precision, logs
        self._running = ExitStack()
        self._ours: Ours | None = None
        self._peers: dict[str, Peer] = {}
        self._verdicts: dict[Request, Verdict] = {}

    @property
    def ours(self) -> Ours:
        """A server of all models."""
        if self._ours is None:
            self._ours = self._running.enter_context(closing(Ours(self.server(*self.models))))
        return self._ours

    def server(self, *names: str, precision: str | None = None, options: Sequence[str] = (), **more: str) -> Server:
        """A new server of these models; the caller closes it.

        `options` are those of its command line. `more`: `module` runs in place of safelight_server, all others are
        variables of its environment.
        """
        folders = {name: self.models[name].ours for name in names}
        options = [f"--precision={precision or self.precision}", *options]
        return Server(folders, self.logs / "server.log", *options, **more)

    def peer(self, name: str) -> Peer:
        """The peer of this name, in its process."""
        if name not in self._peers:
            self._peers[name] = self._running.enter_context(closing(self.new_peer(name)))
        return self._peers[name]

    def new_peer(self, name: str, precision: str | None = None) -> Peer:
        """The peer in a new process; the caller closes it."""
        found = {model: getattr(self.models[model], KINDS[name].reads) for model in self.models}
        folders = {model: path for model, path in found.items() if path is not None}
        return Peer(name, folders, precision or self.precision, self.logs)

    def others(self, model: str) -> list[str]:
        """The peers beside PEERS that can draw with this model: those for which its weights are here."""
        return [name for name in OTHERS if getattr(self.models[model], KINDS[name].reads) is not None]

    def check(self, request: Request) -> str:
        """Compares the pictures of all systems, once for each request; how far apart they are. Raises CheckFailed."""
        if request not in self._verdicts:
            self.close()  # in f32 a full-size model takes twice the memory
            ours = partial(self.server, request.model, precision="f32")
            names = [*PEERS, *(name for name in self.others(request.model) if name == EXACT)]
            self._verdicts[request] = verdict(request, ours, partial(self.new_peer, precision="f32"), names)
        found = self._verdicts[request]
        if not found.equal:
            raise CheckFailed(found.text)
        return found.text

    def close(self) -> None:
        """Stops all systems; one that is needed later is started again."""
        self._running.close()
        self._ours, self._peers = None, {}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
