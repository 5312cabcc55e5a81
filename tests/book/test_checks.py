"""Faults of a built site are found."""

from __future__ import annotations

from pathlib import Path

from safetune_utils.book import checks, content_policy


def test_faults_are_found(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    figure = '<figure class="safetune-figure"><svg></svg></figure>'
    image = '<img src="a.png" alt="a.png"><script src="https://example.org/x.js"></script>'
    sentence = '{{ x }}<p class="safetune-prose"><a href="gone.html">there</a></p>'
    (tmp_path / "book" / "welcome.html").write_text(figure + image + sentence)
    (tmp_path / "page.html").write_text(
        '<div class="cell_output docutils container"><div class="output traceback">'
    )
    faults = checks.page_faults(tmp_path, ["page.html"])
    for part in (
        "another host",
        "no content policy",
        "an image without alt text",
        "a drawing without alt text",
        "not filled in",
        "leads nowhere: gone.html",
        "shows an error",
        "page.html has no figure",
    ):
        assert any(part in fault for fault in faults), part


def test_what_a_run_shows_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "notebooks").mkdir()
    drawing = '<div role="img" aria-label="A line."><svg></svg></div>'
    figure = f'<figure class="safetune-figure">{drawing}<figcaption>c ({{}})</figcaption>'
    links = '<a href="data:text/csv;base64,">numbers</a> <a href="a.run.json">record</a>'
    shown = f'<div class="cell_output"><p>{{{{ x }}}}</p>{figure.format(links)}</figure></div>'
    for name in ("book/welcome.html", "notebooks/a.html"):
        (tmp_path / name).write_text(content_policy.with_policy(f"{shown}<pre>{{{{ x }}}}</pre>", "none"))
    assert checks.page_faults(tmp_path, ["notebooks/a.html"]) == [
        "notebooks/a.html has no run record beside it"
    ]
    bare = content_policy.with_policy(shown.replace(links, ""), "none")
    (tmp_path / "notebooks" / "a.html").write_text(bare)
    faults = checks.page_faults(tmp_path, ["notebooks/a.html"])
    assert "notebooks/a.html has 1 figure(s) or table(s) without their numbers or their run record" in faults
