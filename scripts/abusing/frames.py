"""A client of bare HTTP/2 frames, whose window stays as it is: it takes no more than that."""

from __future__ import annotations

import socket
import struct
import threading
from types import TracebackType

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
ACK, END_STREAM, END_HEADERS = 1, 1, 4
WINDOW = 4  # of SETTINGS


class BareClient:
    """One connection. It answers settings and pings, so that it counts as alive, and throws away the rest."""

    def __init__(self, address: str, window: int) -> None:
        host, port = address.split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._stream = 1
        self._sending = threading.Lock()
        self._send(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", WINDOW, window)))
        threading.Thread(target=self._read, daemon=True).start()

    def call(self, path: str, message: bytes) -> None:
        """A call with one message."""
        body = struct.pack(">BI", 0, len(message)) + message
        head = frame(HEADERS, END_HEADERS, self._stream, _fields(path))
        self._send(head + frame(DATA, END_STREAM, self._stream, body))
        self._stream += 2

    def _read(self) -> None:
        try:
            with self._socket.makefile("rb") as file:
                while len(head := file.read(9)) == 9:
                    payload = file.read(int.from_bytes(head[:3]))
                    if head[3] in (SETTINGS, PING) and not head[4] & ACK:
                        self._send(frame(head[3], ACK, 0, payload if head[3] == PING else b""))
        except OSError:
            return  # one of the two has hung up

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._socket.sendall(data)

    def __enter__(self) -> BareClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def _fields(path: str) -> bytes:
    """Headers as HPACK writes them without its table and without Huffman's code."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost"}
    fields |= {"content-type": "application/grpc", "te": "trailers"}
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())


def _text(value: str) -> bytes:
    return bytes((len(value),)) + value.encode()
