"""A client of raw HTTP/2 frames: for what no gRPC client does, such as a window that stays closed."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, ACK, END_HEADERS = 1, 1, 4


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


class RawClient:
    """One connection. It answers what keeps a connection alive, and never opens a window further than `window`."""

    def __init__(self, address: str, window: int = 65535) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._next_stream = 1
        self._came: list[Frame] = []
        self._news = threading.Condition()
        self._sending = threading.Lock()
        self._send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window)))
        threading.Thread(target=self._read, daemon=True).start()

    def call(self, path: str, message: bytes, headers: Mapping[str, bytes] | None = None) -> int:
        """Makes a call with one message; gives its stream."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        body = b"\0" + struct.pack(">I", len(message)) + message
        head = _frame(HEADERS, END_HEADERS, stream, _head(path, headers or {}))
        self._send(head + _frame(DATA, END_STREAM, stream, body))
        return stream

    def wait_for(self, kind: int, stream: int, flags: int = 0, patience: float = 60) -> Frame:
        """The first frame of this kind on this stream that has these flags."""

        def found() -> Frame | None:
            fits = (f for f in self._came if (f.kind, f.stream) == (kind, stream) and f.flags & flags == flags)
            return next(fits, None)

        with self._news:
            frame = self._news.wait_for(found, patience)
        assert frame, f"no such frame came; these did: {[(f.kind, f.flags, f.stream) for f in self._came]}"
        return frame

    def _read(self) -> None:
        with suppress(OSError), self._socket.makefile("rb") as file:  # a server that leaves may reset the connection
            while len(head := file.read(9)) == 9:
                length, kind, flags, stream = int.from_bytes(head[:3]), head[3], head[4], int.from_bytes(head[5:])
                frame = Frame(kind, flags, stream, file.read(length))
                if kind in (SETTINGS, PING) and not flags & ACK:
                    self._send(_frame(kind, ACK, 0, frame.payload if kind == PING else b""))
                with self._news:
                    self._came.append(frame)
                    self._news.notify_all()

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._socket.sendall(data)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._socket, suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _head(path: str, headers: Mapping[str, bytes]) -> bytes:
    """HPACK without Huffman codes and without its table."""
    fields = {b":method": b"POST", b":scheme": b"http", b":path": path.encode(), b":authority": b"localhost"}
    fields |= {b"content-type": b"application/grpc", b"te": b"trailers"}
    fields |= {name.encode(): value for name, value in headers.items()}
    return b"".join(b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value for name, value in fields.items())
