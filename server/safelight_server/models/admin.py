"""What an operator does with the models of a server that runs: loads one, also a new one, unloads one, forgets one."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from safelight_server.errors import (
    InvalidRequest,
    LastModel,
    LoadError,
    ModelBroken,
    ModelNameTaken,
    NoModelsRoot,
    Violation,
)
from safelight_server.model_folder import model_config

from .device import Device
from .known import Known
from .library import Library

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Admin:
    """`root`: new models lie below it; None: there are none. They run on `device`. Raises LoadError for no folder."""

    def __init__(self, library: Library, root: Path | None, device: Device) -> None:
        if root is not None and not root.is_dir():
            raise LoadError(f"--models-root {root}: is no folder")
        self.library, self._root, self._device = library, root, device

    async def load(self, name: str, folder: str = "") -> Known:
        """A model that is loaded and warm. `folder`: of a new one, below the root; "": of one that is known.

        Raises ModelNotFound, InvalidRequest, NoModelsRoot, ModelNameTaken, ModelTooLarge, or ModelBroken: a new model
        that cannot be loaded is not known then.
        """
        is_new = bool(folder) and await self._is_new(name, folder)
        try:
            if is_new:
                config = await asyncio.to_thread(model_config.read, self._below_root(folder))
                await self.library.add(name, config, self._device)
            return await self.library.load(name)
        except LoadError as error:
            if is_new and name in self.library.known:
                await self.library.forget(name)
            raise ModelBroken(str(error)) from None

    async def unload(self, name: str, *, forget: bool = False) -> None:
        """Raises ModelNotFound, or LastModel where no model would be left."""
        if not forget:
            await self.library.unload(name)
        elif list(self.library.known) == [name]:
            raise LastModel(name)
        else:
            await self.library.forget(name)

    async def _is_new(self, name: str, folder: str) -> bool:
        if not NAME.fullmatch(name):
            rule = f'must be 1 to 64 letters, digits and any of "._-", not {name[:80]!r}'
            raise InvalidRequest([Violation("name", rule)])
        path = await asyncio.to_thread(self._below_root, folder)
        known = self.library.known.get(name)
        if known is not None and known.info.config.folder.resolve() != path:
            raise ModelNameTaken(name)
        return known is None

    def _below_root(self, folder: str) -> Path:
        """Links are followed first: what they lead to must lie below the root as well."""
        if self._root is None:
            raise NoModelsRoot
        root = self._root.resolve()
        try:
            path = (root / folder).resolve()
            inside = path.is_relative_to(root) and path != root and path.is_dir()
        except (OSError, ValueError):  # a name that is too long, or has a zero in it
            inside = False
        if not inside:
            rule = f"must be the path of a folder below --models-root, not {folder[:80]!r}"
            raise InvalidRequest([Violation("folder", rule)])
        return path
