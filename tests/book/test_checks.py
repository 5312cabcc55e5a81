"""Faults of a built site are found."""

from __future__ import annotations

from pathlib import Path

from safetune_utils.book import checks


def test_faults_are_found(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    figure = '<figure class="safetune-figure"></figure>'
    image = '<img src="a.png" alt="a.png"><script src="https://example.org/x.js"></script>'
    sentence = '{{ x }}<p class="safetune-prose"><a href="gone.html">there</a></p>'
    (tmp_path / "book" / "welcome.html").write_text(figure + image + sentence)
    (tmp_path / "page.html").write_text(
        '<div class="cell_output docutils container"><div class="output traceback">'
    )
    faults = checks.page_faults(tmp_path, ["page.html"])
    for part in (
        "another host",
        "alt text",
        "not filled in",
        "leads nowhere: gone.html",
        "shows an error",
        "page.html has no figure",
    ):
        assert any(part in fault for fault in faults), part
