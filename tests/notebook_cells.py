"""Notebooks of a few cells for the tests, and a notebook's cells run in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest


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


def glued_by(path: Path, monkeypatch: pytest.MonkeyPatch, **given: Any) -> dict[str, Any]:
    """Run the code cells in order in this process, where a test can change what they find, the given values
    laid over the parameters', and return the glued values by name.
    """
    found: dict[str, Any] = {}
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    monkeypatch.setattr("safetune_utils.book.glue.glue", lambda **values: found.update(values))
    space: dict[str, Any] = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{path.stem} {cell.id}", "exec"), space)
            if "parameters" in cell.metadata.get("tags", []):
                space |= given
    return found
