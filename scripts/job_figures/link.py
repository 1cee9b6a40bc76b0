"""A link that breaks: a TCP proxy before a server, which cuts each connection after some bytes of the answers."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is closed is reset


class Link:
    """`most` says after how many bytes the next connection is cut; None: it is not."""

    def __init__(self, address: str, most: Callable[[], int | None]) -> None:
        host, _, port = address.rpartition(":")
        self._server, self._most = (host, int(port)), most
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut = 0  # connections so far
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                for source, target, most in ((client, server, None), (server, client, self._most())):
                    threading.Thread(target=self._carry, args=(source, target, most), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, most: int | None) -> None:
        left = 2**62 if most is None else most
        with suppress(OSError):
            while left and (data := source.recv(min(65536, left))):
                target.sendall(data)
                left -= len(data)
        self.cut += not left
        for one in (source, target):
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def link_to(address: str, most: Callable[[], int | None]) -> Iterator[Link]:
    link = Link(address, most)
    try:
        yield link
    finally:
        link.close()
