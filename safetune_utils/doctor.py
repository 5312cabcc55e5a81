"""What this machine has and what it lacks for the book, and how to correct that."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import torch

from safetune_utils import places
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.device import planned
from safetune_utils.models import embedded
from safetune_utils.places import cache_folder, data_folder


class Finding(TypedDict):
    """One check: what was looked at, what was found, whether that is enough, and what to do if it is not."""

    what: str
    found: str
    ok: bool
    mend: str


def findings() -> list[Finding]:
    """Every check of this machine, in the order in which they are shown."""
    free = shutil.disk_usage(_existing(places.store_folder())).free / 1e9
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    _, precision = planned()
    version = tuple(map(int, platform.python_version_tuple()[:2]))
    return [
        _finding("Python", platform.python_version(), version >= (3, 11), "use Python 3.11 or newer"),
        _finding(
            "memory",
            f"{memory:.0f} GB",
            memory > 5,
            "the pocket preset takes 4 GB at its peak: close other programs or use another machine",
        ),
        _finding(
            "disk for the run store",
            f"{free:.0f} GB free at {places.store_folder()}",
            free > 2,
            "free 2 GB, or set SAFETUNE_STORE to a larger disk",
        ),
        _finding("processor", f"{torch.get_num_threads()} threads, number format {precision}", True, ""),
        _finding(
            "accelerator",
            torch.cuda.get_device_name(0)
            if torch.cuda.is_available()
            else "none (the pocket preset needs none)",
            True,
            "",
        ),
        _attempt("embedded model", _embedded_model),
        _attempt("data folder", lambda: str(data_folder())),
        _finding(
            "cache",
            str(cache_folder()),
            os.access(_existing(cache_folder()), os.W_OK),
            "set SAFETUNE_CACHE to a folder that can be written",
        ),
        _finding(
            "jupyter-book",
            "installed" if importlib.util.find_spec("jupyter_book") else "not installed",
            bool(importlib.util.find_spec("jupyter_book")),
            "pip install -e '.[book]'",
        ),
    ]


def _embedded_model() -> str:
    name = embedded.gguf_path().name
    folder = next((cache_folder() / "models").glob("smollm2-135m-bf16-*/config.json"), None)
    return f"{name}, converted in {folder.parent}" if folder else f"{name}, to be converted on first use"


def _finding(what: str, found: str, ok: bool, mend: str) -> Finding:
    return {"what": what, "found": found, "ok": ok, "mend": mend}


def _attempt(what: str, look: Callable[[], str]) -> Finding:
    try:
        return _finding(what, look(), True, "")
    except SafetuneError as error:
        return _finding(what, "missing", False, str(error))


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
