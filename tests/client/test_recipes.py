"""What a picture's file says of how it was drawn, read back and drawn again."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import safelight
from google.protobuf.json_format import MessageToDict
from PIL import Image, PngImagePlugin
from safelight import Client, NoRecipe, recipe
from safelight.__main__ import main
from safelight.v1 import images_pb2 as pb
from support import fake_server as fake
from support.fake_server import serve
from support.files import written

EVERYTHING = pb.GenerateRequest(
    prompt="ein Apfel, 🍎", model="vega", prompt_2="p2", negative_prompt="", negative_prompt_2="n2", width=512,
    height=768, steps=4, guidance_scale=7.3, guidance_rescale=0.5, seed=1, scheduler="euler",
    scheduler_options=pb.SchedulerOptions(use_karras_sigmas=True, timestep_spacing="trailing", eta=0),
    size_conditioning=pb.SizeConditioning(
        original=pb.Size(width=512, height=768), crop=pb.Point(x=0, y=2), aesthetic_score=6),
    refiner=pb.RefinerStage(model="refiner", handoff=0.75),
    output=pb.OutputOptions(format=pb.IMAGE_FORMAT_JPEG, quality=80),
    acceleration=pb.Acceleration(deep_cache_interval=3, guidance_until=0.5, tiny_decoder=True),
    prompt_syntax=pb.PROMPT_SYNTAX_WEIGHTED,
)  # fmt: skip


def file(request: Any, format: str = "PNG", key: str = "safelight") -> bytes:
    """A picture with the request in it, as the server writes it."""
    text = json.dumps(MessageToDict(request), ensure_ascii=format != "PNG")
    options: dict[str, Any] = {}
    if format == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt(key, text)
    else:
        options["exif"] = Image.Exif()
        options["exif"][0x010E] = text
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, format, **options)
    return out.getvalue()


@pytest.mark.parametrize(("format", "key"), [("PNG", "safelight"), ("PNG", "parameters"), ("JPEG", ""), ("WEBP", "")])
def test_every_field_comes_back(format: str, key: str, tmp_path: Path) -> None:
    path = written(tmp_path / "picture", file(EVERYTHING, format, key))
    with serve() as server, Client(server.address) as client, path.open("rb") as opened:
        for source in (path, str(path), path.read_bytes(), opened):
            client.generate(**recipe(source))
        assert server.requests == [EVERYTHING] * 4
        client.generate(**{**recipe(path), "prompt": "another"})
        assert server.requests[4].prompt == "another"


def test_a_picture_of_a_redrawing_says_so() -> None:
    said = pb.RefineRequest(prompt="p", strength=0.3, seed=4, width=16, height=16)
    with serve() as server, Client(server.address) as client:
        client.refine(fake.picture(), **recipe(file(said)))
        said.image = fake.picture()
        assert server.requests == [said]


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        (fake.picture(), NoRecipe, "does not say how it was drawn"),
        (fake.picture(format="JPEG"), NoRecipe, "does not say"),
        (b"no picture", NoRecipe, "no picture"),
        ("nowhere.png", OSError, "nowhere.png"),
        (Image.new("RGB", (4, 4)), TypeError, "not Image"),
    ],
)
def test_what_has_no_recipe_is_told(source: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        recipe(source)


def test_text_that_is_not_ours_is_told() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", '{"prompt": 3}')
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG", pnginfo=info)
    with pytest.raises(NoRecipe, match="not Safelight's"):
        recipe(out.getvalue())


def test_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    written(Path("a.png"), file(EVERYTHING))
    written(Path("b.png"), file(pb.RefineRequest(prompt="p", strength=0.3)))
    with serve() as server:
        monkeypatch.setenv("SAFELIGHT_ADDRESS", server.address)
        assert main(["again", "a.png", "-o", "same.png", "-q"]) == 0
        assert server.requests == [EVERYTHING]
        assert main(["again", "b.png", "-q"]) == 2
        assert main(["again", "a.png", "--image", "a.png", "-q"]) == 2
        assert main(["again", "a.png", "-o", "same.png", "-q"]) == 2
        assert main(["again", "b.png", "--image", "a.png", "-o", "redrawn.png", "-q"]) == 0
        assert server.requests[1].image == Path("a.png").read_bytes()
        assert len(server.requests) == 2
    told = capsys.readouterr()
    assert told.out == "same.png\nredrawn.png\n"
    assert "b.png was redrawn from a picture" in told.err
    assert "takes no --image" in told.err
    assert safelight.recipe is recipe
