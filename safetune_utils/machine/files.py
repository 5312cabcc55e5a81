"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write a file to; at the end of the ``with`` block it takes the place of
    ``path``.

    A block that fails leaves ``path`` as it was and nothing beside it. The folder is made where it is
    missing. A link or a device, such as ``/dev/stdout``, is written to directly. Two processes that may write
    the same file need a lock around this.

    Yields:
        Where to write.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        with partial.open("r+b") as file:
            os.fsync(file.fileno())  # else a power failure could leave the new name with nothing behind it
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, see :func:`replacing`."""
    with replacing(path) as partial:
        partial.write_text(text, "utf-8")


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write an object as JSON in UTF-8, one entry a line, see :func:`replacing`."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
