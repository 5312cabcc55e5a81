"""The pages on citing and on changes say what the repository's files say, and their links lead somewhere."""

from __future__ import annotations

import re

from safetune_utils.book.generated import about
from safetune_utils.places import data_folder

ROOT = data_folder().parent


def test_the_entry_has_title_author_version_and_licence() -> None:
    cite = about.parts(ROOT)["cite"]
    for field in ("title", "author", "version", "license"):
        assert re.search(rf"^  {field} = \{{.+\}},?$", cite, re.MULTILINE), field
    assert "Safety-Tuned LLaMAs, a runnable book" in cite


def test_the_changelog_has_its_versions_and_no_link_into_the_repository() -> None:
    changes = about.parts(ROOT)["changelog"]
    assert not changes.startswith("# ")
    assert "## Unreleased" in changes
    assert not re.search(r"\]\((?!https?:)", changes)


def test_references_have_well_formed_dois() -> None:
    text = (ROOT / "book" / "references.bib").read_text("utf-8")
    dois = re.findall(r"doi = \{([^}]*)\}", text)
    assert len(dois) >= 10
    assert all(re.fullmatch(r"10\.\d{4,9}/\S+", doi) for doi in dois)
    assert "note = {arXiv" not in text
