"""What the pages on citing and on changes include, from ``CITATION.cff`` and ``CHANGELOG.md``."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import yaml


def parts(root: Path) -> dict[str, str]:
    """The parts ``cite`` and ``changelog`` as Markdown; ``root`` is the folder of the two files."""
    cited = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    authors = " and ".join(author["name"] for author in cited["authors"])
    entry = (
        f"@software{{safetune_book,\n  title = {{{cited['title']}}},\n  author = {{{{{authors}}}}},\n"
        f"  version = {{{version('safetune-utils')}}},\n  license = {{{cited['license']}}}\n}}"
    )
    return {
        "cite": f"```bibtex\n{entry}\n```\n",
        "changelog": _without_files((root / "CHANGELOG.md").read_text("utf-8")),
    }


def _without_files(text: str) -> str:
    """The changelog without its title, and its links to files of the repository as their text."""
    body = text.partition("\n")[2]
    return re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", body)
