"""What processes note of their work for the one that started them, such as the files that they open to read:
a page is made from the data that its notebook read.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Names the file that the paths are noted in, one a line; without it nothing is noted.
NOTES = "SAFETUNE_READ"


@contextlib.contextmanager
def noted(variable: str) -> Iterator[set[Path]]:
    """The paths that processes started in the block note in the file that an environment variable names;
    filled when the block ends.
    """
    found: set[Path] = set()
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        notes.touch()
        before, os.environ[variable] = os.environ.get(variable), str(notes)
        try:
            yield found
        finally:
            os.environ.pop(variable)
            if before is not None:
                os.environ[variable] = before
        found |= {Path(line) for line in notes.read_text("utf-8").splitlines()}


def note_opened(folder: Path) -> None:
    """From now on, note each file under a folder that this process opens to read, in the file that
    ``SAFETUNE_READ`` names.

    A library that opens files without Python, such as the reader of safetensors, is not seen.
    """
    root, seen = f"{os.path.realpath(folder)}{os.sep}", set[str]()

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], (str, os.PathLike)):
            return
        path = os.path.realpath(arguments[0])
        writes = isinstance(arguments[1], str) and not arguments[1].startswith("r")
        if writes or path in seen or not path.startswith(root) or NOTES not in os.environ:
            return
        seen.add(path)
        with open(os.environ[NOTES], "a", encoding="utf-8") as notes:
            notes.write(f"{path}\n")

    sys.addaudithook(note)
