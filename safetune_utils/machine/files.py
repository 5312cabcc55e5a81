"""Files that are there whole or not at all, and objects in JSON that know whether they were changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from safetune_utils.errors import SafetuneError


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
        flush(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk: a rename before that could leave,
    after a power failure, the new name with nothing behind it.
    """
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folder
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write a text in UTF-8, see :func:`replacing`; a private file is its owner's alone to read."""
    with replacing(path) as partial:
        if private and partial != path:
            make_private(partial)
        partial.write_text(text, "utf-8")


def write_json(path: Path, content: Mapping[str, object], *, private: bool = False) -> None:
    """Write an object as JSON in UTF-8, one entry a line, see :func:`write_text`."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n", private=private)


def make_private(path: Path) -> None:
    """Make an empty file that its owner alone may read (mode 0600), in place of one of that name."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def private_folder(path: Path) -> None:
    """Make a folder that its owner alone may look into (mode 0700), or make one that is there so."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # somebody else's is for them to close
        path.chmod(0o700)


# The entry that holds the hash of all others.
ITSELF = "itself"


def sealed(content: Mapping[str, object]) -> dict[str, Any]:
    """An object as JSON holds it, with a hash of itself, see :func:`is_as_sealed`."""
    plain = json.loads(json.dumps(content))
    return plain | {ITSELF: _hash_of(plain)}


def is_as_sealed(content: Mapping[str, object]) -> bool:
    """Whether nothing in an object was changed since :func:`sealed` gave it its hash; also where it has none.

    The hash finds damage and slips, not somebody who writes it anew.
    """
    return ITSELF not in content or content[ITSELF] == _hash_of(content)


def read_sealed(path: Path) -> dict[str, Any] | None:
    """The object that was written sealed to a file; ``None`` where there is none, or it was cut or changed,
    so that it is made anew.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and ITSELF in content and is_as_sealed(content) else None


def _hash_of(content: Mapping[str, object]) -> str:
    rest = {name: value for name, value in content.items() if name != ITSELF}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def json_lines(rows: Iterable[Mapping[str, object]]) -> str:
    """Records as JSON Lines: one JSON object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def check_writable(folder: Path) -> None:
    """Raise ``OSError``, with the folder's name, where no file can be written into it."""
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None


def check_folder(folder: Path, *, mend: str) -> Path:
    """The folder itself, made where it is missing, if files can be written into it.

    Raises:
        SafetuneError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder)
    except OSError as error:
        raise SafetuneError(f"{folder}: {error.strerror or error}: {mend}") from None
    return folder
