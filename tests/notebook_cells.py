"""A notebook's cells run in this process, in which a test can change what they find; what they glue is
returned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest


def glued_by(path: Path, monkeypatch: pytest.MonkeyPatch, **given: Any) -> dict[str, Any]:
    """Run the code cells in order, the given values laid over the parameters', and return the glued values by
    name.
    """
    found: dict[str, Any] = {}
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    monkeypatch.setattr(pages, "glue", lambda **values: found.update(values))
    space: dict[str, Any] = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{path.stem} {cell.id}", "exec"), space)
            if "parameters" in cell.metadata.get("tags", []):
                space |= given
    return found
