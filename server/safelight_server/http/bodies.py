"""Bodies of requests: counted while they are read, so that none is larger in memory than it may be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from .failures import BodiesWaiting, Gone, TooLarge, TooSlow, bad

MOST = 32 * 2**20  # bytes
MOST_FILES, MOST_FIELDS, MOST_TEXT = 18, 64, 2**20
MOST_OF_ALL = 8 * MOST  # bytes of all bodies that are being read
PATIENCE = 60.0  # seconds for the next piece


class _Reading:
    bytes = 0


READING = _Reading()


async def read(request: Request, most: int = MOST) -> bytes:
    """The whole body. Raises TooLarge as soon as it is."""
    return b"".join([piece async for piece in _pieces(request, most)])


async def read_json(request: Request, most: int = MOST) -> dict[str, Any]:
    """The object that the body is. Raises InvalidRequest for any other."""
    body = await read(request, most)
    try:
        value = await asyncio.to_thread(json.loads, body) if len(body) > 2**20 else json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise bad("body", f"must be JSON: {error}") from None
    if not isinstance(value, dict):
        raise bad("body", f"must be a JSON object, not {type(value).__name__}")
    return value


async def read_form(request: Request, most: int = MOST) -> FormData:
    """The parts of a multipart body: texts, and files, which stay in memory. In any order, also in chunks."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise bad("body", "must be multipart/form-data")
    parser = _InMemory(
        request.headers,
        _pieces(request, most),
        max_files=MOST_FILES,
        max_fields=MOST_FIELDS,
        max_part_size=MOST_TEXT,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise bad("body", error.message) from None


async def file_of(part: UploadFile | str) -> bytes:
    """The bytes of a part that is to be a file; a text stands for itself."""
    return part.encode() if isinstance(part, str) else await part.read()


class _InMemory(MultiPartParser):
    spool_max_size = 2 * MOST  # nothing of a caller's is written to a disk


async def _pieces(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    told = request.headers.get("content-length", "0")
    if told.isdecimal() and int(told) > most:
        raise TooLarge(most)
    read, stream = 0, request.stream()
    try:
        while True:
            try:
                piece = await asyncio.wait_for(anext(stream), PATIENCE)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise TooSlow(PATIENCE) from None
            except ClientDisconnect:
                raise Gone from None
            read += len(piece)
            READING.bytes += len(piece)
            if read > most:
                raise TooLarge(most)
            if READING.bytes > MOST_OF_ALL:
                raise BodiesWaiting
            yield piece
    finally:
        READING.bytes -= read
