"""A Sphinx extension for the pages of the package's functions: a field of a tuple is told once, in the
docstring of its class, and not again as an alias.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def _skip(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
