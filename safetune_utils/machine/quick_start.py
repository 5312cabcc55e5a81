"""What a process of ours need not import."""

from __future__ import annotations

import sys


def skip_grammar() -> None:
    """Keep jsonschema, which nbformat and Jupyter Book import, from a grammar that takes seconds to compile.

    JupyterLab brings rfc3987-syntax, by which jsonschema would check international web addresses; nothing of
    ours has such addresses to check. In this process nobody else finds that package either: only for one that
    is ours alone, before jsonschema is imported.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # so Python says: not installed
