"""Notebooks: whether this is one, and a picture that comes up below its cell."""

from __future__ import annotations

import sys
from typing import Any

from .events import Event, ImageDone, Preview


def in_notebook() -> bool:
    """Whether this runs in a kernel of IPython, where pictures can be shown. Imports nothing."""
    ipython = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class LivePicture:
    """The newest preview of a job, below the cell, until its picture is finished."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, event: Event) -> None:
        """Shows a preview, or a finished picture, in the place of the one before."""
        if not isinstance(event, (Preview, ImageDone)):
            return
        if self._handle is None:
            from IPython.display import display

            self._handle = display(event, display_id=True)
        else:
            self._handle.update(event)
