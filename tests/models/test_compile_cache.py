"""What was compiled is read again only as it was written: OpenVINO itself would run a blob with a flipped bit."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset15 as ops
from safelight_server.models import compile_cache


def graph(folder: Path) -> Path:
    """A small one, in a file."""
    x = ops.parameter([-1, 64], np.float32, name="x")
    weights = ops.constant(np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32))
    path = folder / "openvino_model.xml"
    ov.save_model(ov.Model([ops.tanh(ops.matmul(x, weights, False, False))], [x], "small"), path)
    return path


def compiled(path: Path, cache: Path | None, name: str = "unet") -> bool:
    """Whether it came from the cache."""
    core = ov.Core()
    with compile_cache.settings(cache, path.with_suffix(".bin"), name) as settings:
        found = core.compile_model(core.read_model(path), "CPU", settings)
    return cache is not None and bool(found.get_property("LOADED_FROM_CACHE"))


def blobs(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.blob"))


def test_it_is_found_again_by_graph_and_weights(tmp_path: Path) -> None:
    path, cache = graph(tmp_path), tmp_path / "cache"
    assert [compiled(path, cache) for _ in range(2)] == [False, True]
    assert not compiled(path, cache, "unet_shallow"), "a folder for each"
    assert not compiled(path, None)
    os.utime(path.with_suffix(".bin"))
    assert not compiled(path, cache), "other weights, as far as is known"


def test_no_flipped_bit_is_ever_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, cache, dice = graph(tmp_path), tmp_path / "cache", random.Random(0)
    compiled(path, cache)
    for _ in range(8):
        (blob,) = blobs(cache)
        right = blob.read_bytes()
        place = dice.randrange(len(right))
        blob.chmod(0o600)
        blob.write_bytes(right[:place] + bytes([right[place] ^ 1 << dice.randrange(8)]) + right[place + 1 :])
        caplog.clear()
        assert not compiled(path, cache)
        assert "is not as it was written" in caplog.text
        assert compiled(path, cache), "it was compiled anew"


@pytest.mark.parametrize("text", [None, "", "{}", "[]"])
def test_a_blob_that_nobody_vouches_for_is_not_read(tmp_path: Path, text: str | None) -> None:
    path, cache = graph(tmp_path), tmp_path / "cache"
    compiled(path, cache)
    (digests,) = cache.rglob(compile_cache.DIGESTS)
    if text is None:
        digests.unlink()
    else:
        digests.write_text(text)
    assert [compiled(path, cache) for _ in range(2)] == [False, True]


def test_where_nothing_can_be_written_it_is_compiled_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = graph(tmp_path)
    (tmp_path / "file").touch()
    for name in ("unet", "vae_decoder"):
        assert not compiled(path, tmp_path / "file", name)
    assert caplog.text.count("not kept for the next start") == 1


def _compile(path: Path, cache: Path) -> None:
    for _ in range(5):
        compiled(path, cache)


def test_processes_that_share_it_come_one_after_the_other(tmp_path: Path) -> None:
    path, cache = graph(tmp_path), tmp_path / "cache"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_compile, args=(path, cache)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert compiled(path, cache)
    assert len(blobs(cache)) == 1


def test_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    path, cache = graph(tmp_path), tmp_path / "cache"
    for age, name in enumerate(("new", "old", "oldest")):
        compiled(path, cache, name)
        folder = max((cache / "compiled").iterdir(), key=lambda one: one.stat().st_mtime)
        os.utime(folder, (0, time.time() - 1000 * age))
    size = sum(blob.stat().st_size for blob in blobs(cache))
    compile_cache.tidy(cache, most=size)
    assert len(blobs(cache)) == 3
    compile_cache.tidy(cache, most=size - 1)
    assert [compiled(path, cache, name) for name in ("new", "old")] == [True, True]
    compile_cache.tidy(cache, most=0)
    assert len(blobs(cache)) == 2, "somebody may just be using them"
    compile_cache.tidy(tmp_path / "nothing")
