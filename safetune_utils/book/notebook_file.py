"""A notebook's file, whoever wrote it, as nbformat's object."""

from __future__ import annotations

from pathlib import Path

import nbformat
import nbformat.reader

from safetune_utils import strict_json
from safetune_utils.errors import SafetuneError, first_line


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """A notebook in version 4 of its format, valid.

    Raises:
        OSError: the file cannot be opened.
        SafetuneError: it is not JSON, or no notebook.
    """
    mend = "give a notebook as Jupyter saves it"
    strict_json.read(path, mend=mend)
    try:
        notebook = nbformat.convert(nbformat.reader.reads(path.read_text("utf-8-sig")), 4)
        nbformat.validate(notebook)
    except Exception as error:  # of many kinds, where not even the outer form is that of a notebook
        raise SafetuneError(f"{path} is no notebook ({first_line(error)}): {mend}") from None
    return notebook
