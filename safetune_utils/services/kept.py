"""Replies of services on disk: each in a file that its owner alone may read, with a hash of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetune_utils import strict_json
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.files import ITSELF, is_as_sealed, sealed, write_json
from safetune_utils.terminal import say


def keep(path: Path, content: Mapping[str, object]) -> None:
    """Keep a reply in a file whose name, without its ending, is the reply's key."""
    write_json(path, sealed({"key": path.stem, **content}), private=True)


def kept(path: Path, *, check: Callable[[dict[str, Any]], object]) -> dict[str, Any] | None:
    """The reply in a file; ``None`` where there is none, or it was cut, changed or is another's, which is
    told in a line while the file is put aside. Replies kept before they carried a hash of themselves are read
    as they are.

    Args:
        path: the file.
        check: raises ``ValueError`` or ``TypeError`` where a reply has not its form.
    """
    if not path.is_file():
        return None
    try:
        row = strict_json.read(path, mend="")
        check(row)
        if row.get("key", path.stem) == path.stem and is_as_sealed(row):
            return {name: value for name, value in row.items() if name != ITSELF}
    except (SafetuneError, ValueError, TypeError, AttributeError):
        pass
    aside = path.with_suffix(".damaged")
    say(f"a stored reply is not as it was written: it is asked for again, and kept as {aside}", error=True)
    path.replace(aside)
    return None
