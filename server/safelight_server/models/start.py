"""The models of a server that starts: each folder is checked, then each is loaded; a bar for people, lines for logs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Mapping

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from safelight_server.errors import LoadError, ModelTooLarge
from safelight_server.lanes.buffers import resident
from safelight_server.model_folder.model_config import ModelConfig

from . import checking, footprint, loader
from .device import Device
from .library import Library
from .loader import OnProgress
from .verified import Verified

log = logging.getLogger(__name__)


async def load_all(
    library: Library,
    configs: Mapping[str, ModelConfig],
    devices: Mapping[str, Device],
    own_lane: Collection[str],
    *,
    verified: Verified | None,
) -> None:
    """Checks all folders, if they are to be `verified`, then loads all models that fit, by name.

    Those in `own_lane` work beside others. A model that is not in `devices` goes to the CPU. Raises LoadError for the
    first that cannot be served.
    """
    total = sum(loader.progress_total(config) + (verified is not None) for config in configs.values())
    style = "{desc:32} {bar} {n}/{total}  {elapsed}  {postfix}"
    bar = tqdm(total=total, disable=not sys.stderr.isatty(), bar_format=style, leave=False)
    with bar, logging_redirect_tqdm():

        def on_progress(what: str) -> None:
            log.debug("%s", what)
            bar.set_description_str(what)
            bar.set_postfix_str(footprint.size(resident()))
            bar.update()

        for name, config in configs.items():
            device = devices.get(name, Device())
            one = await library.add(name, config, device, f"{device.name} of {name}" if name in own_lane else None)
            if verified is not None:
                on_progress(f"{name}: checking {footprint.size(footprint.weight_bytes(config))}")
                await checking.check_files(one, verified)
        for place, name in enumerate(configs):
            if place and not library.fits(name):
                log.info("model %s is loaded when it is asked for: there is no room for it now", name)
            else:
                await _load(library, name, on_progress)


async def _load(library: Library, name: str, on_progress: OnProgress) -> None:
    try:
        await library.load(name, on_progress)
    except ModelTooLarge as error:
        raise LoadError(str(error)) from None
