"""Makes the folder of an export without its weights, to see what would be refused when all of them are made."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from safelight_server.errors import LoadError
from safelight_server.model_folder import model_config

from . import int8, record
from .plan import Options
from .source import Source

# The folders that an export makes of each part of a checkpoint.
MADE = {
    "unet": ("unet",),
    "text_encoder": ("text_encoder", "tokenizer"),
    "text_encoder_2": ("text_encoder_2", "tokenizer_2"),
    "vae": ("vae_encoder", "vae_decoder"),
}
FILES = ("openvino_model.xml", "openvino_model.bin", "tokenizer.json")
CALIBRATED = ("base", "refiner")  # kinds


def check(source: Source, options: Options) -> None:
    """Raises LoadError, one line, for a model that the server would refuse, or that cannot be quantized so."""
    with TemporaryDirectory(prefix="safelight-") as name:
        folder = Path(name)
        record.describe(source, options, folder, {})
        for part in source.weights:
            for made in MADE[part]:
                (folder / made).mkdir()
                for file in FILES:
                    (folder / made / file).touch()
                (folder / made / "config.json").write_bytes(source.content(f"{part}/config.json"))
        try:
            config = model_config.read(folder)
        except LoadError as error:
            raise LoadError(_of(source, str(error), name)) from None
    if int8.calibrates(options.int8) and config.kind not in CALIBRATED:
        raise LoadError(
            f"{source.name}: must be of kind {' or '.join(CALIBRATED)} to be calibrated, not {config.kind}; "
            "of others, --int8-mode weights can be made"
        )
    _check_prompts(options.prompts)


def _of(source: Source, text: str, folder: str) -> str:
    """The text with the checkpoint's own paths in it."""
    own = str(source.single.get("unet", source.folder))
    text = text.replace("/vae_decoder/", "/vae/").replace("/vae_encoder/", "/vae/")
    return text.replace(folder, own) + ("; --scheduler takes another" if "scheduler_config.json" in text else "")


def _check_prompts(path: Path | None) -> None:
    try:
        if path and not path.read_text(encoding="utf-8").strip():
            raise ValueError("it has no prompt")
    except (OSError, ValueError) as error:
        raise LoadError(f"--prompts must be a text in UTF-8, a prompt a line, and {path} is none: {error}") from None
