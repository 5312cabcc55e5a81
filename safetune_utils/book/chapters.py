"""The chapters: each is a notebook that says of itself what it is, so that adding one is adding a file.

Its number is the start of its file's name, its title the first heading. Its metadata holds under ``safetune``
the name of its schema, the names of its figures, of those that it draws only where it can, the claims of the
paper that it records a finding about, and the headline of its page.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from safetune_utils.book import parameters
from safetune_utils.book.notebook_file import read_notebook
from safetune_utils.errors import SafetuneError


class Chapter(NamedTuple):
    """What a chapter says of itself.

    Attributes:
        name: its file's name without the ending.
        number: the start of the name, as text: ``01``.
        title: its first heading.
        figures: the names of the figures that it always draws; its page begins with the first.
        sometimes: those that it draws only where what they need is there.
        claims: ids from ``data/paper/claims.yml``.
        headline: a sentence with the result, as a cell of :mod:`safetune_utils.book.prose` says it.
    """

    name: str
    number: str
    title: str
    figures: tuple[str, ...]
    sometimes: tuple[str, ...]
    claims: tuple[str, ...]
    headline: str


def chapters() -> list[Chapter]:
    """All chapters, by their numbers.

    Raises:
        SafetuneError: a notebook does not begin with a heading, or two record a finding about one claim.
    """
    found = [_read(path, path.stat().st_mtime_ns) for path in sorted(parameters.folder().glob("*.ipynb"))]
    claims = [claim for chapter in found for claim in chapter.claims]
    if len(set(claims)) < len(claims):
        twice = next(claim for claim in claims if claims.count(claim) > 1)
        raise SafetuneError(f"two chapters say that they record a finding about '{twice}': leave it to one")
    return found


@lru_cache(maxsize=64)
def _read(path: Path, changed_ns: int) -> Chapter:
    notebook = read_notebook(path)
    first = notebook.cells[0].source.split("\n")[0] if notebook.cells else ""
    if not first.startswith("# "):
        raise SafetuneError(f"{path.name} has no title: let its first cell begin with '# ' and the title")
    about = notebook.metadata.get("safetune", {})
    return Chapter(
        name=path.stem,
        number=path.stem.split("_")[0],
        title=first.removeprefix("# ").strip(),
        figures=tuple(about.get("figures", ())),
        sometimes=tuple(about.get("figures_sometimes", ())),
        claims=tuple(about.get("claims", ())),
        headline=about.get("headline", ""),
    )
