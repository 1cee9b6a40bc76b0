"""The ends of the names in a LoRA's file: which number of which kind of change a tensor is."""

from __future__ import annotations

import re

ADAPTER = r"(?:\.(?!weight$)\w+)?"  # PEFT may put an adapter's name in between
# What the end of a name means. Sources: kohya-ss/sd-scripts, PEFT, diffusers, and LyCORIS (names of its state dict).
ENDS: tuple[tuple[str, str], ...] = (
    (r"\.lora_down\.weight", "down"),
    (r"\.lora_up\.weight", "up"),
    (r"\.lora_mid\.weight", "mid"),
    (rf"\.lora_A{ADAPTER}\.weight", "down"),
    (rf"\.lora_B{ADAPTER}\.weight", "up"),
    (rf"\.lora_B{ADAPTER}\.bias", "up_bias"),
    (r"(?:\.lora|_lora|\.lora_linear_layer)\.down\.weight", "down"),
    (r"(?:\.lora|_lora|\.lora_linear_layer)\.up\.weight", "up"),
    (rf"\.lora_magnitude_vector{ADAPTER}(?:\.weight)?", "magnitude"),
    (r"\.dora_scale", "magnitude"),
    (r"(?:\.lora|_lora|\.lora_linear_layer)?\.alpha", "alpha"),
    *((rf"\.{name}", name) for name in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")),
    *((rf"\.{name}", name) for name in ("lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b", "lokr_w1", "lokr_w2")),
    (r"\.lokr_t2", "lokr_t2"),
    (r"\.diff", "diff"),
    (r"\.diff_b", "diff_b"),
    (r"\.w_norm", "diff"),
    (r"\.b_norm", "diff_b"),
)
PATTERNS = tuple((re.compile(rf"^(.+?){end}$"), role) for end, role in ENDS)

# What is known, and not fused: the first pattern that a name has says what the file is.
NOT_FUSED: tuple[tuple[str, str], ...] = (
    (r"\.on_input$|\.ia3_l", "an (IA)^3"),
    (r"\.oft_|\.oft_blocks$|\.rescale$", "an OFT"),
    (r"\.(a1|a2|b1|b2)\.weight$", "a GLoRA"),
    (r"\.lora_embedding_[AB]", "a LoRA of an embedding"),
    (r"bundle_emb|emb_params", "an embedding"),
    (r"^(double|single)_blocks|transformer\.(single_)?transformer_blocks|joint_blocks|lora_transformer_", "for a DiT"),
)


def role_of(key: str) -> tuple[str, str] | None:
    """What comes before the end of a name, and what the tensor is; None: no layout has such a name."""
    for pattern, role in PATTERNS:
        if match := pattern.match(key):
            return match[1], role
    return None


def not_fused(keys: list[str]) -> tuple[str, str] | None:
    """The first name of a kind of file that is known and cannot be fused, and that kind."""
    found = ((key, kind) for pattern, kind in NOT_FUSED for key in keys if re.search(pattern, key))
    return next(found, None)
