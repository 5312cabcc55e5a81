"""Notebooks of a few cells for the tests, and a notebook's cells run in this process."""

from __future__ import annotations

from numbers import Integral
from pathlib import Path
from typing import Any

import nbformat
import pytest

from safetune_utils.book import prose, words


def write_notebook(
    path: Path,
    *sources: str,
    parameters: str = 'preset: str = "smoke"  # preset',
    schema: str | None = "study",
) -> Path:
    """A notebook of a parameters cell and of these code cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in (parameters, *sources)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel} | ({"safetune": {"schema": schema}} if schema else {})
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def recorded_by(path: Path, monkeypatch: pytest.MonkeyPatch, **given: Any) -> dict[str, Any]:
    """Run the code cells in order in this process, where a test can change what they find, the given values
    laid over the parameters', and say the sentences; return the recorded values by name, in words.
    """
    found: dict[str, Any] = {}
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    monkeypatch.setattr("safetune_utils.book.prose.record", lambda **values: found.update(values))
    space: dict[str, Any] = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if is_prose(cell):
            prose.render(body_of(cell), found)
        elif cell.cell_type == "code":
            exec(compile(python_of(cell), f"{path.stem} {cell.id}", "exec"), space)
            if "parameters" in cell.metadata.get("tags", []):
                space |= given
    return {
        name: value if isinstance(value, Integral) else words.said(value) for name, value in found.items()
    }


def is_prose(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell holds sentences and not code."""
    return cell.cell_type == "code" and cell.source.startswith(PROSE)


def body_of(cell: nbformat.NotebookNode) -> str:
    """The Markdown of a cell of sentences."""
    return cell.source.removeprefix(PROSE)


def python_of(cell: nbformat.NotebookNode) -> str:
    """A code cell's Python, without the line that makes ``%%prose`` known."""
    return cell.source.replace("%load_ext safetune_utils.book.prose\n", "")


PROSE = "%%prose\n"
