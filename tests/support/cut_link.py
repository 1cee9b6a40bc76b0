"""A link that breaks: a TCP proxy before a server, whose connections are cut after so many bytes of the answers."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is closed is reset


class CutLink:
    """Connection after connection is cut after the next of these numbers of bytes; once they are used up, none is."""

    def __init__(self, address: str, cuts: Iterable[int]) -> None:
        host, _, port = address.rpartition(":")
        self._server, self._cuts = (host, int(port)), iter(cuts)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut = 0  # connections so far
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_now(self) -> None:
        """Cuts what is connected."""
        for one in list(self._open):
            _reset(one)

    def close(self) -> None:
        self._listener.close()
        self.cut_now()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._open |= {client, server}
                threading.Thread(target=self._carry, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, next(self._cuts, None)), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, most: int | None) -> None:
        carried = 0
        with suppress(OSError):
            while (most is None or carried < most) and (data := source.recv(65536 if most is None else most - carried)):
                target.sendall(data)
                carried += len(data)
        self.cut += most is not None and carried >= most
        for one in (source, target):
            self._open.discard(one)
            _reset(one)


def _reset(one: socket.socket) -> None:
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def cut_link(address: str, cuts: Iterable[int] = ()) -> Iterator[CutLink]:
    """A link to a server, until the end of the block."""
    link = CutLink(address, cuts)
    try:
        yield link
    finally:
        link.close()
