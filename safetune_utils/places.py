"""Where files are: the run store, the data folder, the cache, committed results."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from safetune_utils import strict_json
from safetune_utils.errors import SafetuneError


def store_folder() -> Path:
    """Where runs are kept: ``SAFETUNE_STORE``, or ``runs/`` of the repository."""
    return Path(os.environ.get("SAFETUNE_STORE") or Path(__file__).resolve().parents[1] / "runs")


def data_folder() -> Path:
    """The repository's ``data/`` folder, or the one named by ``SAFETUNE_DATA``.

    Raises:
        SafetuneError: the folder has no ``register.yml``.
    """
    folder = Path(os.environ.get("SAFETUNE_DATA") or Path(__file__).resolve().parents[1] / "data")
    if not (folder / "register.yml").is_file():
        raise SafetuneError(
            f"no register.yml in {folder}: run from a clone of the book, or set SAFETUNE_DATA to its data "
            "folder"
        )
    return folder


def results(name: str) -> dict[str, Any]:
    """What was measured and is kept under ``data/results``, as its JSON file holds it.

    Args:
        name: of the file, such as ``refusal``; each file says what made it.

    Raises:
        FileNotFoundError: no such file.
        SafetuneError: there is no data folder, or the file is damaged.
    """
    path = data_folder() / "results" / f"{name}.json"
    return strict_json.read(path, mend="take this file from the repository again")


def cache_folder() -> Path:
    """Where fetched files and converted models are kept: ``SAFETUNE_CACHE`` or the user's cache folder."""
    return Path(os.environ.get("SAFETUNE_CACHE") or user_cache_path("safetune"))


def safe_name(text: str, *, length: int = 80) -> str:
    """A text as it may stand in a file's name: letters, digits, ``_``, ``.`` and ``-``, at most ``length`` of
    them, with no dot at its start; ``unnamed`` where nothing is left.
    """
    return re.sub(r"[^\w.-]+", "_", text).lstrip(".")[:length] or "unnamed"


def inside(folder: Path, name: str) -> Path:
    """The path of a file in a folder, by a name that comes from elsewhere.

    Raises:
        SafetuneError: it would lie outside of the folder.
    """
    path = folder / name
    if Path(name).name == name != ".." and not path.is_symlink():
        return path  # plainly inside; resolving costs more than all else that is done with thousands of files
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SafetuneError(f"'{name}' leads out of {folder}: give a name without .. and without a leading /")
    return path
