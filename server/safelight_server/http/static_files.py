"""The page itself: the files beside it, whole in memory, under a policy that lets no other host take part."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
TYPES = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "json": "application/json",
    "webmanifest": "application/manifest+json",
    "png": "image/png",
    "ico": "image/x-icon",
    "woff2": "font/woff2",
}
FOLDER = files(__package__) / "static"


def routes() -> list[Route]:
    return [Route("/", _file, methods=["GET"]), Route("/{name:path}", _file, methods=["GET"])]


@cache
def _read(name: str) -> tuple[bytes, str]:
    """A file of the page that is there, and its tag."""
    data = FOLDER.joinpath(*name.split("/")).read_bytes()
    return data, f'"{hashlib.sha256(data).hexdigest()[:16]}"'


async def _file(request: Request) -> Response:
    """Each is asked for again when it has changed: a newer server has a newer page."""
    parts = str(request.path_params.get("name") or "index.html").split("/")
    ending = parts[-1].rpartition(".")[2]
    path = FOLDER.joinpath(*parts)
    if any(part.startswith(".") or not part for part in parts) or ending not in TYPES or not path.is_file():
        raise HTTPException(404, "Not Found")
    data, tag = _read("/".join(parts))
    headers = {"content-security-policy": POLICY, "cache-control": "no-cache", "etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=TYPES[ending])
