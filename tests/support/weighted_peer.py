"""Weighted prompts by a second, plain way: character by character, on torch's CLIP. Ours is held against it."""

from __future__ import annotations

import re
from typing import Any

import torch

Weighted = list[tuple[str, float]]  # characters; "" is a BREAK
FACTOR = {")": 1.1, "]": 1 / 1.1}
NUMBER = re.compile(r":\s*([+-]?(\d+\.?\d*|\.\d+))\s*\)")


def characters(prompt: str) -> Weighted:
    """Each character with its weight. A BREAK counts where it stands between blanks, ends and brackets."""
    found: list[list[Any]] = []
    open_at: dict[str, list[int]] = {")": [], "]": []}

    def close(bracket: str, factor: float) -> None:
        for one in found[open_at[bracket].pop() :]:
            one[1] *= factor

    place = 0
    while place < len(prompt):
        sign, rest = prompt[place], prompt[place:]
        number = NUMBER.match(rest)
        place += 1
        if sign == "\\":
            if rest[1:2] and rest[1] in "()[]\\":
                found.append([rest[1], 1.0])
                place += 1
        elif sign in "([":
            open_at[")" if sign == "(" else "]"].append(len(found))
        elif number and open_at[")"]:
            close(")", float(number[1]))
            place += number.end() - 1
        elif sign in ")]" and open_at[sign]:
            close(sign, FACTOR[sign])
        else:
            found.append([sign, 1.0])
    for bracket in ")]":
        while open_at[bracket]:
            close(bracket, FACTOR[bracket])
    return [(sign, weight) for sign, weight in found]


def pieces(prompt: str) -> list[tuple[str, float] | None]:
    """Runs of one weight, for prompts whose BREAKs stand outside of brackets, between blanks."""
    parts: list[tuple[str, float] | None] = []
    for number, part in enumerate(prompt.split(" BREAK ")):
        parts += [None] if number else []
        text, weight = "", 1.0
        for sign, its in characters(part):
            if text and its != weight:
                parts.append((text, weight))
                text = ""
            text, weight = text + sign, its
        parts.append((text, weight))
    return parts


def chunks(prompt: str, tokenizer: Any) -> list[tuple[list[int], list[float]]]:
    """Ids and weights of 77 each: filled token by token, and at the end of a chunk back to a comma of its last 20."""
    comma = tokenizer.convert_tokens_to_ids(",</w>")
    waiting: list[tuple[int, float] | None] = []
    for piece in pieces(prompt):
        ids = tokenizer(piece[0], add_special_tokens=False, truncation=False).input_ids if piece else []
        waiting += [(id, piece[1]) for id in ids] if piece else [None]
    done: list[list[tuple[int, float]]] = []
    while waiting:
        taken: list[tuple[int, float]] = []
        while waiting and len(taken) < 75 and waiting[0] is not None:
            taken.append(waiting.pop(0))  # type: ignore[arg-type]
        if waiting and waiting[0] is None:
            waiting.pop(0)
        elif waiting and waiting[0][0] != comma:  # type: ignore[index]
            last = [place for place in range(55, 75) if taken[place][0] == comma][-1:]
            waiting[:0] = taken[last[0] + 1 :] if last else []
            del taken[last[0] + 1 if last else 75 :]
        done.append(taken)
    return [_framed(chunk, tokenizer) for chunk in done or [[]]]


def _framed(chunk: list[tuple[int, float]], tokenizer: Any) -> tuple[list[int], list[float]]:
    ids = [tokenizer.bos_token_id, *(id for id, _ in chunk), tokenizer.eos_token_id]
    weights = [1.0, *(weight for _, weight in chunk), 1.0]
    missing = 77 - len(ids)
    return ids + [tokenizer.pad_token_id] * missing, weights + [1.0] * missing


def features(prompt: str, tokenizer: Any, encoder: Any, least: int = 1) -> tuple[Any, Any]:
    """What one encoder gives for the prompt with at least so many chunks; and its first output, the pooled vector."""
    found, pooled = [], None
    parts = chunks(prompt, tokenizer)
    parts += chunks("", tokenizer) * (least - len(parts))
    for ids, weights in parts:
        with torch.no_grad():
            out = encoder(torch.tensor([ids]), output_hidden_states=True)
        before = out.hidden_states[-2]
        after = before * torch.tensor(weights)[None, :, None]
        found.append(after * (before.mean() / after.mean()))
        pooled = out[0] if pooled is None else pooled
    return torch.cat(found, dim=1).numpy(), pooled.numpy()  # type: ignore[union-attr]
