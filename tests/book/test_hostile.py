"""A book from an executed notebook whose names were chosen to do harm: nothing runs, nothing leaves its
place, and each text is shown as it is.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from estimates import change, share
from executed_copy import displayed, executed, recording
from html_tables import parsed

from safetune_utils.book import content_policy, figures, parameters, site
from safetune_utils.book.generated import data_cards


def hostile(target: Path) -> str:
    """A text that runs a command where it is taken for a template, and is markup where it is not escaped."""
    command = f"{{{{ cycler.__init__.__globals__.os.system('touch {target}') }}}}"
    return f"{command} `code` | <script>document.title = 'x'</script> **bold** $x^$\nnext"


@pytest.mark.slow
def test_hostile_names_are_shown_as_they_are_and_do_nothing(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The cards of the data sets are drawn from no executed copy, and take longest.
    cards = ("overview", "embedded_cards", "outside_cards", "embedded_overlap", "paper_overlap")
    names = [f"data_{name}" for name in (*cards, "paper_copies", "questions")]
    monkeypatch.setattr(data_cards, "parts", lambda: dict.fromkeys(names, ""))
    ran = tmp_path / "ran"
    text = hostile(ran)
    copies = tmp_path / "copies"
    path = executed(copies, source, malicious=share(0.5, 0.4, 0.6))
    notebook = nbformat.read(path, as_version=4)
    levels = {
        f"{name}_{which}": share(0.5, 0.4, 0.6)
        for name in ("malicious", "ordinary")
        for which in ("first", "last")
    }
    changes = {name: change(0.5, 0.4, 0.6) for name in ("ordinary_change", "lookalikes_change")}
    notebook.cells[1].outputs += recording(run_by=text, first=0, last=text, **levels, **changes)
    for name in ("safety_amount", "trade_off", "../../evil", text):
        figure = figures.funnel([(text, 9), ("kept", 3)], name=name, caption=text)
        notebook.cells[1].outputs.append(displayed(*figure._repr_mimebundle_()))
    # What an executed copy holds as HTML is shown as it is: a script in it has no leave to run.
    notebook.cells[1].outputs.append(displayed({"text/html": "<script>theirs()</script>"}))
    # Pages lead to this part of the chapter.
    notebook.cells.append(nbformat.v4.new_markdown_cell("## Negative controls"))
    record = notebook.metadata.safetune
    record.settings |= {"base_model": text, "data": text}
    record.adapters[text] = next(iter(record.adapters.values()))
    nbformat.write(notebook, path)
    for other in parameters.folder().glob("*.ipynb"):
        if other.name != source.name:
            cells = [nbformat.v4.new_markdown_cell("# T")]
            if other.stem.startswith("07"):
                wins = {
                    f"paper_{of}_{end}": text for of in ("malicious", "benign") for end in ("least", "most")
                }
                cells.append(nbformat.v4.new_code_cell("1", outputs=recording(**wins)))
            nbformat.write(nbformat.v4.new_notebook(cells=cells), copies / other.name)
    done = {one.name: one for one in copies.glob("*.ipynb")}
    build = tmp_path / "build"
    site.assemble(build / "source", done, {name: ["a <b>file</b> {{ 1 }}"] for name in done})
    site.render(build / "source", build)

    assert not ran.exists()
    assert {one.name for one in tmp_path.iterdir()} == {"copies", "build"}
    assert not [one for one in build.rglob("*evil*") if one.parent.name != "_generated"]
    shown = " ".join(text.split())
    for name in ("book/welcome", "book/verdicts", "book/runs", "notebooks/01_safety_amount"):
        page = parsed((build / "html" / f"{name}.html").read_text("utf-8"))
        assert not [script for script in page.select("script") if "document.title = 'x'" in script.text], name
        assert shown in " ".join(page.get_text().split()), name
    for path in (build / "html").rglob("*.html"):
        if "_static" not in path.parts:
            theirs = path.parts[-2:] == ("notebooks", "01_safety_amount.html")
            found = content_policy.faults(parsed(path.read_text("utf-8")))
            assert found == (["has a script that is not ours"] if theirs else []), path
