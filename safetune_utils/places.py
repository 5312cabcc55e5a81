"""Where files are: the run store, the data folder, the cache, committed results."""

from __future__ import annotations

import importlib.metadata
import os
import re
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path, user_data_path

from safetune_utils import strict_json
from safetune_utils.errors import SafetuneError

_PACKAGE = Path(__file__).resolve().parent
# The repository's `data`, `notebooks` and `book` as a wheel brings them; pyproject.toml puts them there.
BROUGHT = "_repository"
_BROUGHT = _PACKAGE / BROUGHT


def clone() -> Path | None:
    """The clone of the repository that this package lies in; ``None`` where it was installed from a wheel."""
    return None if _BROUGHT.is_dir() else _PACKAGE.parent


def repository_folder() -> Path:
    """What holds ``notebooks``, ``book`` and the pages' settings: the clone, or what the wheel brought."""
    return clone() or _BROUGHT


def store_folder() -> Path:
    """Where runs are kept: ``SAFETUNE_STORE``, or ``runs/`` of the clone, or the user's own data folder."""
    given, here = os.environ.get("SAFETUNE_STORE"), clone()
    return Path(given) if given else (here or user_data_path("safetune", appauthor=False)) / "runs"


def data_folder() -> Path:
    """The repository's ``data/`` folder, or the one named by ``SAFETUNE_DATA``.

    Raises:
        SafetuneError: the folder has no ``register.yml``.
    """
    folder = Path(os.environ.get("SAFETUNE_DATA") or repository_folder() / "data")
    if not (folder / "register.yml").is_file():
        raise SafetuneError(
            f"no register.yml in {folder}: set SAFETUNE_DATA to the data folder of a clone of the book, or"
            " leave it out"
        )
    return folder


def own_data_folder() -> Path:
    """The data folder as a place to write to: a clone's, or the one named by ``SAFETUNE_DATA``.

    Raises:
        SafetuneError: there is only the installed package, which nothing is written into.
    """
    if clone() is None and not os.environ.get("SAFETUNE_DATA"):
        raise SafetuneError(
            "this writes into the repository's data folder, and here is only the installed package: run it "
            f"in a clone, or copy {_BROUGHT / 'data'} and set SAFETUNE_DATA to the copy"
        )
    return data_folder()


def extra(name: str) -> str:
    """How an extra of this package, such as ``gpu``, is installed: a command, as an error names it."""
    version = importlib.metadata.version("safetune-utils")
    source = "-e '." if clone() else f"'safetune_utils-{version}-py3-none-any.whl"
    return f"pip install {source}[{name}]'"


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
    return Path(os.environ.get("SAFETUNE_CACHE") or user_cache_path("safetune", appauthor=False))


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
