"""What help() and completion show of the calls that draw; seeds by lot; ids; and how results show themselves."""

from __future__ import annotations

import inspect
import pickle
import sys
import types
from inspect import Parameter
from typing import Any

import grpc
import pytest
import safelight
from safelight import AsyncClient, Client, Health
from safelight.arguments import TEXTS
from safelight.v1 import images_pb2 as pb
from support import fake_server as fake
from support.clients import Connect
from support.fake_server import refuse, serve

OURS = {
    "progress",
    "timeout",
    "previews",
    "max_image_bytes",
    "resume",
}  # of the client, in no GenerateRequest or RefineRequest
FIELDS = {
    "generate": set(pb.GenerateRequest.DESCRIPTOR.fields_by_name),
    "refine": set(pb.RefineRequest.DESCRIPTOR.fields_by_name),
    "stream": set(pb.RefineRequest.DESCRIPTOR.fields_by_name),
}


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("call", FIELDS)
def test_every_field_is_an_argument_with_a_type_and_a_text(kind: type[Any], call: str) -> None:
    function = getattr(kind, call)
    parameters = dict(inspect.signature(function).parameters)
    del parameters["self"]
    assert parameters.keys() - OURS == FIELDS[call]
    assert {one.kind for one in parameters.values()} <= {Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}
    for name, parameter in parameters.items():
        assert parameter.annotation is not parameter.empty
        assert f"    {name}: {TEXTS[name]}" in (inspect.getdoc(function) or "")


@pytest.mark.parametrize("call", ["generate", "refine", "stream"])
def test_seed_minus_one_is_by_lot(connect: Connect, call: str) -> None:
    with serve() as server:
        client = connect(server.address)
        {
            "generate": lambda: client.generate("p", seed=-1),
            "refine": lambda: client.refine(fake.picture(), "p", seed=-1),
            "stream": lambda: client.stream("p", seed=-1).final(),
        }[call]()
        request = server.requests[0]
    assert not getattr(request, "generate", request).HasField("seed")
    with pytest.raises(ValueError, match="seed=-2"):
        connect("localhost:1").generate("p", seed=-2)


@pytest.mark.parametrize("sent", ["by the server", "by nobody"])
@pytest.mark.parametrize("call", ["generate", "stream"])
def test_every_error_has_the_id_of_its_request(connect: Connect, sent: str, call: str) -> None:
    told: list[str] = []

    def fail(request: Any, context: grpc.ServicerContext) -> Any:
        told.append(str(dict(context.invocation_metadata())["x-request-id"]))
        if sent == "by nobody":
            refuse(context, grpc.StatusCode.INTERNAL, "no")
        context.set_trailing_metadata((("x-request-id", "its-own"),))
        context.abort(grpc.StatusCode.INTERNAL, "no")

    with serve(generate=fail, stream=fail) as server:
        client = connect(server.address)
        with pytest.raises(safelight.Internal) as caught:
            client.generate("p") if call == "generate" else client.stream("p").final()
    assert caught.value.request_id == ("its-own" if sent == "by the server" else told[0])
    with pytest.raises(safelight.Unavailable) as unreachable:
        connect("127.0.0.1:1").health()
    assert unreachable.value.request_id


def test_a_timeout_is_a_timeout_error(connect: Connect) -> None:
    with serve(generate=fake.sleeping) as server, pytest.raises(TimeoutError) as caught:
        connect(server.address).generate("p", timeout=0.05)
    assert isinstance(caught.value, safelight.TimedOut)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.code, again.request_id) == (
        str(caught.value),
        "DEADLINE_EXCEEDED",
        caught.value.request_id,
    )


def test_health_says_its_name() -> None:
    assert (f"{Health.SERVING}", str(Health.NOT_SERVING), f"{Health.UNKNOWN:>8}") == (
        "SERVING",
        "NOT_SERVING",
        " UNKNOWN",
    )
    assert int(Health.SERVING) == 1


# Notebooks


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_picture_shows_itself(connect: Connect, format: str) -> None:
    with serve(generate=lambda *_: fake.answer(fake.image(format=format))) as server:
        result = connect(server.address).generate("p")
    shown = {"png": result._repr_png_(), "jpeg": result._repr_jpeg_()}
    kind = "jpeg" if format == "JPEG" else "png"
    assert [name for name, data in shown.items() if data] == [kind]
    assert shown == {"png": result.pictures[0]._repr_png_(), "jpeg": result.pictures[0]._repr_jpeg_()}
    assert result._repr_html_() is None
    if format != "WEBP":
        assert shown[kind] == result.files[0]


def test_several_pictures_show_themselves_side_by_side(connect: Connect) -> None:
    with serve() as server:
        result = connect(server.address).generate("p", num_images=2)
    assert (result._repr_png_(), result._repr_jpeg_()) == (None, None)
    assert str(result._repr_html_()).count('src="data:image/png;base64,') == 2


def test_previews_come_up_in_a_notebook(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPython's two functions, written down: it is no part of the tests' environment."""
    shown: list[tuple[str, Any]] = []
    handle = types.SimpleNamespace(update=lambda event: shown.append(("update", event)))

    def display(event: Any, display_id: bool) -> Any:
        shown.append(("display", event))
        return handle

    ipython: Any = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = display
    with serve() as server:
        client = connect(server.address)
        client.generate("p", progress=True)
        assert (shown, server.requests[0].preview.every_steps) == ([], 0)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
        client.generate("p", progress=True)
    assert [how for how, _ in shown] == ["display", "update", "update"]
    assert [type(event).__name__ for _, event in shown] == ["Preview", "Preview", "ImageDone"]
    assert shown[0][1]._repr_jpeg_() == fake.picture("blue", "JPEG")
