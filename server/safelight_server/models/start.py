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
from .known import ModelState
from .library import Library
from .loader import OnProgress

log = logging.getLogger(__name__)


async def add_all(
    library: Library, configs: Mapping[str, ModelConfig], devices: Mapping[str, Device], own_lane: Collection[str]
) -> None:
    """They can be asked for from then on. Those in `own_lane` will work beside others.

    A model that is not in `devices` goes to the CPU. Raises LoadError for the first that can never be served.
    """
    library.is_loading = True
    for name, config in configs.items():
        device = devices.get(name, Device())
        await library.add(name, config, device, f"{device.name} of {name}" if name in own_lane else None)


async def load_all(library: Library, configs: Mapping[str, ModelConfig]) -> None:
    """Checks all folders, if the library does, then loads all models that fit.

    Raises LoadError for the first that cannot be served.
    """
    verified = library.verified
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
            if verified is not None and library.find(name).state is ModelState.UNLOADED:  # nobody was sooner
                on_progress(f"{name}: checking {footprint.size(footprint.weight_bytes(config))}")
                await checking.check_files(library.find(name), verified)
        for place, name in enumerate(configs):
            if place and not library.fits(name):
                log.info("model %s is loaded when it is asked for: there is no room for it now", name)
            else:
                await _load(library, name, on_progress)
    library.is_loading = False


async def _load(library: Library, name: str, on_progress: OnProgress) -> None:
    try:
        await library.load(name, on_progress)
    except ModelTooLarge as error:
        raise LoadError(str(error)) from None
