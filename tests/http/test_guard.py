"""Who is let in: requests for this server, from this server's own page or from no page at all."""

from __future__ import annotations

import httpx
import pytest
from safelight_server.errors import JobError
from safelight_server.http.failures import Failures
from safelight_server.http.guard import HEADERS, Guard
from starlette.applications import Starlette
from starlette.datastructures import Headers

FOREIGN = "FOREIGN_HOST"


def refused(listens_on: str, host: str, method: str = "GET", **more: str) -> str:
    """The reason why a request is refused; "" if it is not."""
    guard = Guard(Starlette(), Failures({}), listens_on)
    headers = Headers({"host": host, **{name.replace("_", "-"): value for name, value in more.items()}})
    try:
        guard._checked(method, "/", headers)
    except JobError as refusal:
        return refusal.reason
    return ""


@pytest.mark.parametrize(
    ("listens_on", "host", "reason"),
    [
        ("127.0.0.1", "127.0.0.1:7860", ""),
        ("127.0.0.1", "localhost:7860", ""),
        ("127.0.0.1", "LOCALHOST", ""),
        ("127.0.0.1", "[::1]:7860", ""),
        ("127.0.0.1", "evil.example:7860", FOREIGN),
        ("127.0.0.1", "127.0.0.1.evil.example", FOREIGN),
        ("127.0.0.1", "192.168.1.7:7860", FOREIGN),
        ("127.0.0.1", "", FOREIGN),
        ("127.0.0.1", "[", FOREIGN),
        ("192.168.1.7", "192.168.1.7:7860", ""),
        ("192.168.1.7", "10.0.0.1:7860", FOREIGN),
        ("0.0.0.0", "192.168.1.7:7860", ""),
        ("[::]", "[fe80::1]:7860", ""),
        ("0.0.0.0", "evil.example", FOREIGN),
        ("pictures.example", "Pictures.Example:7860", ""),
    ],
)
def test_hosts(listens_on: str, host: str, reason: str) -> None:
    assert refused(listens_on, host) == reason


@pytest.mark.parametrize(
    ("method", "headers", "reason"),
    [
        ("POST", {}, ""),  # a program
        ("POST", {"origin": "http://localhost:7860"}, ""),
        ("POST", {"origin": "http://localhost:7861"}, "FOREIGN_ORIGIN"),
        ("POST", {"origin": "http://evil.example"}, "FOREIGN_ORIGIN"),
        ("POST", {"origin": "null"}, "FOREIGN_ORIGIN"),
        ("DELETE", {"origin": "http://evil.example"}, "FOREIGN_ORIGIN"),
        ("POST", {"sec_fetch_site": "cross-site"}, "FOREIGN_ORIGIN"),
        ("POST", {"sec_fetch_site": "same-origin"}, ""),
        ("GET", {"origin": "http://evil.example"}, ""),  # it may ask, and its browser keeps the answer from it
    ],
)
def test_origins(method: str, headers: dict[str, str], reason: str) -> None:
    assert refused("127.0.0.1", "localhost:7860", method, **headers) == reason


def test_every_answer_has_the_safe_headers(http: httpx.Client) -> None:
    for path in ("/", "/api/models", "/v1/models", "/nothing"):
        headers = http.get(path, headers={"x-request-id": "mine"}).headers
        assert headers["x-request-id"] == "mine"
        assert {name: headers[name] for name in HEADERS if name != "content-security-policy"} == {
            name: value for name, value in HEADERS.items() if name != "content-security-policy"
        }
        assert "'unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/api/jobs", ("error", "reason")),
        ("/v1/images/generations", ("error", "type")),
        ("/sdapi/v1/txt2img", ("detail",)),
    ],
)
def test_a_foreign_page_is_refused_in_each_doors_own_form(http: httpx.Client, path: str, told: tuple[str, ...]) -> None:
    for headers in ({"origin": "http://evil.example"}, {"host": "evil.example"}):
        answer = http.post(path, json={"prompt": "x"}, headers=headers)
        assert answer.status_code == 403
        value = answer.json()
        for key in told:
            value = value[key]


def test_the_page_is_served(http: httpx.Client) -> None:
    page = http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    again = http.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
