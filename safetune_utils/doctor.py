"""What this machine has and lacks for the book, each finding with its mend."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import torch

from safetune_utils import places
from safetune_utils.errors import SafetuneError
from safetune_utils.models import embedded
from safetune_utils.models.base_model import dtype_of
from safetune_utils.places import cache_folder, data_folder


def findings() -> list[dict[str, Any]]:
    """One entry a check: ``what``, ``found``, ``ok``, ``mend``."""
    free = shutil.disk_usage(_existing(places.store_folder())).free / 1e9
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    precision = str(dtype_of("auto")).removeprefix("torch.")
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


def _finding(what: str, found: str, ok: bool, mend: str) -> dict[str, Any]:
    return {"what": what, "found": found, "ok": ok, "mend": mend}


def _attempt(what: str, look: Any) -> dict[str, Any]:
    try:
        return _finding(what, look(), True, "")
    except SafetuneError as error:
        return _finding(what, "missing", False, str(error))


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
