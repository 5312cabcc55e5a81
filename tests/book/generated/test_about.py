"""The pages on citing and on changes say what the repository's files say, and their links lead somewhere."""

from __future__ import annotations

import re

from pybtex.database import parse_file

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


def test_every_reference_has_a_well_formed_doi_or_an_address_and_why_it_has_none() -> None:
    for key, entry in parse_file(str(ROOT / "book" / "references.bib")).entries.items():
        fields = dict(entry.fields)
        if doi := fields.get("doi"):
            assert re.fullmatch(r"10\.\d{4,9}/[\w.()-]+(/[\w.()-]+)*", doi), key
            assert "arxiv" not in doi.lower() or re.fullmatch(r"10\.48550/arXiv\.\d{4}\.\d{5}", doi), key
        else:
            assert re.fullmatch(r"https://\S+", fields["url"]), key
            assert fields["nodoi"], key
