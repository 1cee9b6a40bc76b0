"""A Hugging Face hub on loopback: what its API says of repositories, and their files. In a thread of its own."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

REVISION = "a" * 40
Answer = tuple[int, dict[str, str], bytes]

# How the hub refuses: the status, and the headers that say why.
REFUSALS = {
    "gated": (403, "GatedRepo", "Access to model {name} is restricted and you are not in the authorized list."),
    "private": (401, "RepoNotFound", "Invalid username or password."),
    "absent": (404, "RepoNotFound", "Repository not found"),
    "token": (403, "", "Forbidden: the token lacks the permission to read this repository."),
    "broken": (500, "", "Internal error"),
}


@dataclass
class FakeHub:
    """`repositories`: the folder of each, or a key of REFUSALS. `asked`: the files that were sent, as NAME/PATH."""

    repositories: Mapping[str, Path | str]
    address: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> Answer:
        """The answer to a request for a path: api/models/NAME[/revision/REV], or NAME/resolve/REV/FILE."""
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if api else parts[:2])
        found = self.repositories.get(name, "absent")
        if isinstance(found, str):
            status, code, message = REFUSALS[found]
            return status, {"X-Error-Code": code, "X-Error-Message": message.format(name=name)}, b""
        revision = (parts[5:] if api else parts[3:4]) or ["main"]
        if revision[0] not in ("main", REVISION):
            return 404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {revision[0]}"}, b""
        return self._info(name, found) if api else self._file(name, found, "/".join(parts[4:]))

    def _info(self, name: str, folder: Path) -> Answer:
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        info = {"id": name, "sha": REVISION, "siblings": [{"rfilename": file} for file in files], "tags": []}
        return 200, {"Content-Type": "application/json"}, json.dumps(info).encode()

    def _file(self, name: str, folder: Path, file: str) -> Answer:
        if not (folder / file).is_file():
            return 404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}, b""
        self.asked.append(f"{name}/{file}")
        content = (folder / file).read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": REVISION}, content


@contextmanager
def fake_hub(repositories: Mapping[str, Path | str]) -> Iterator[FakeHub]:
    """The hub at `address`, until the block ends."""
    hub = FakeHub(repositories)

    class Handler(BaseHTTPRequestHandler):
        def _send(self, body: bool) -> None:
            status, headers, content = hub.answer(self.path)
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def do_GET(self) -> None:
            self._send(body=True)

        def do_HEAD(self) -> None:
            self._send(body=False)

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
