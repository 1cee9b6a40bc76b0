"""The kinds of change that a file can hold for a layer: their tensors, their rank, and the shape that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from safelight_server.export.headers import Shape

Shapes = Mapping[str, Shape]
LAST = ("alpha", "magnitude", "diff_b", "up_bias")  # what may come with other tensors


@dataclass(frozen=True)
class Kind:
    """One kind of change. `makes` raises ValueError or LookupError where tensors do not fit together."""

    name: str
    mark: tuple[str, ...]  # a layer with one of these is of this kind
    may: frozenset[str]  # the tensors that belong to it
    rank: Callable[[Shapes], int | None]  # what alpha is divided by; None: there is no such scale
    makes: Callable[[Shapes], tuple[int, int]]  # rows, and numbers in each, of the matrix that is added


def _same(one: int, other: int, what: str) -> None:
    if one != other:
        raise ValueError(f"{what} are {one} and {other}")


def _lora(shapes: Shapes) -> tuple[int, int]:
    down, up = shapes["down"], shapes["up"]
    mid = shapes.get("mid")
    if mid is None:
        _same(down[0], up[1], "the ranks of its two factors")
        _same(prod(up[2:]), 1, "the kernel of its second factor must be 1 x 1, and both")
        return up[0], prod(down[1:])
    _same(down[0], mid[1], "the ranks of its first two factors")
    _same(mid[0], up[1], "the ranks of its last two factors")
    return up[0], down[1] * prod(mid[2:])


def _loha(shapes: Shapes) -> tuple[int, int]:
    sides = []
    for n in (1, 2):
        a, b = shapes[f"hada_w{n}_a"], shapes[f"hada_w{n}_b"]
        t = shapes.get(f"hada_t{n}")
        if t is None:
            _same(a[1], b[0], "the ranks of its factors")
        else:
            _same(t[0], a[0], "the ranks of its factors")
            _same(t[1], b[0], "the ranks of its factors")
        sides.append((a[1], b[1] * prod(t[2:])) if t else (a[0], b[1]))
    _same(prod(sides[0]), prod(sides[1]), "the sizes of its two matrices")
    return sides[0]


def _lokr(shapes: Shapes) -> tuple[int, int]:
    rows, columns = 1, 1
    for n in (1, 2):
        whole, core = shapes.get(f"lokr_w{n}"), shapes.get(f"lokr_t{n}")
        if whole is None:
            a, b = shapes[f"lokr_w{n}_a"], shapes[f"lokr_w{n}_b"]
            if core is None:
                _same(a[1], b[0], "the ranks of its factors")
            whole = (a[1], b[1], *core[2:]) if core else (a[0], *b[1:])
        rows, columns = rows * whole[0], columns * prod(whole[1:])
    return rows, columns


def _lokr_rank(shapes: Shapes) -> int | None:
    # As LyCORIS has it: the rank of the factors, and no scale at all where both matrices are whole.
    return next((shapes[name][0] for name in ("lokr_w2_b", "lokr_w1_b") if name in shapes), None)


def _whole(shapes: Shapes) -> tuple[int, int]:
    return shapes["diff"][0], prod(shapes["diff"][1:])


HADA = frozenset(f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2"))
LOKR = frozenset(f"lokr_{name}" for name in ("w1", "w2", "w1_a", "w1_b", "w2_a", "w2_b", "t2"))
KINDS: tuple[Kind, ...] = (
    Kind("lora", ("down", "up", "mid"), frozenset({"down", "up", "mid"}), lambda shapes: shapes["down"][0], _lora),
    Kind("loha", tuple(HADA), HADA, lambda shapes: shapes["hada_w1_b"][0], _loha),
    Kind("lokr", tuple(LOKR), LOKR, _lokr_rank, _lokr),
    Kind("diff", ("diff",), frozenset({"diff"}), lambda shapes: None, _whole),
    Kind("bias", ("diff_b",), frozenset({"diff_b"}), lambda shapes: None, lambda shapes: (0, 0)),
)


def kind_of(roles: Mapping[str, object]) -> Kind:
    """The kind of a layer with these tensors. Raises ValueError for tensors that make none, or two."""
    kind = next((kind for kind in KINDS if any(role in roles for role in kind.mark)), None)
    if kind is None:
        raise ValueError(f"it has {', '.join(sorted(roles))}, and no weights")
    if others := sorted(roles.keys() - kind.may - set(LAST)):
        raise ValueError(f"it is of two kinds: {others[0]} does not belong to {kind.name}")
    return kind
