"""Where a page comes from: its run record, links to it, staleness, what is published of it, and a run laid
beside another.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from typer.testing import CliRunner

from safetune_utils import statistics, store
from safetune_utils.book import (
    compare,
    figures,
    findings,
    freshness,
    glue,
    parameters,
    provenance,
    tables,
    words,
)
from safetune_utils.cli import app
from safetune_utils.errors import SafetuneError
from safetune_utils.machine import surroundings

SECRET = "a prompt of theirs"


@pytest.fixture(scope="module")
def source() -> Path:
    return parameters.find("01")


def executed(folder: Path, source: Path, *, malicious: statistics.Share, recorded: bool = True) -> Path:
    """An executed copy of chapter 1, made by hand: one figure, one table, one glued share, one finding."""
    shown: list[Any] = []
    patch = pytest.MonkeyPatch()
    patch.setattr(
        pages,
        "display",
        lambda data, metadata, raw: shown.append(
            nbformat.v4.new_output("display_data", data, metadata=metadata)
        ),
    )
    glue.glue(malicious_last=words.with_interval(malicious._asdict()), run_by="someone")
    glue.finding("obeys_without_safety", malicious)
    patch.undo()
    bundle, metadata = figures.funnel(
        [("asked", 9), ("kept", 3)], name="steps", caption="c"
    )._repr_mimebundle_()
    shown.append(nbformat.v4.new_output("display_data", bundle, metadata=metadata))
    shown.append(
        nbformat.v4.new_output(
            "display_data", {"text/html": tables.table([("a", 1)], caption="numbers").data}
        )
    )
    shown.append(nbformat.v4.new_output("stream", name="stdout", text=SECRET))
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# T"), nbformat.v4.new_code_cell("1", outputs=shown)]
    )
    if recorded:
        adapter = {
            "seconds": 60.0,
            "peak_memory_bytes": 2e9,
            "inputs": {"seed": 0, "base_model": {"name": "b"}},
            "facts": {"n_safety": 5, "data": "embedded"},
        }
        notebook.metadata["safetune"] = {
            "notebook": source.stem, "settings": parameters.validate(source, {"preset": "smoke"}).model_dump(), "made_from": freshness.inputs(source, {"preset": "smoke"}),
            "started": surroundings.now(), "seconds": 12.0, "peak_memory_bytes": 10**9, "adapters": {"embedded-n5-seed0-instruction-abc": adapter},
        } | surroundings.surroundings()  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / source.name)
    return folder / source.name


@pytest.fixture
def copy(tmp_path: Path, source: Path) -> Path:
    return executed(tmp_path / "executed", source, malicious=statistics.Share(0.5, 0.4, 0.6, 98, 0, "Wilson"))


def html_of(notebook: nbformat.NotebookNode) -> str:
    return "".join(
        output.data.get("text/html", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    )


def test_every_figure_and_table_links_to_its_numbers_and_its_run_record(copy: Path) -> None:
    assert provenance.link_faults("page", html_of(nbformat.read(copy, as_version=4))) == [
        "page has 2 figure(s) or table(s) without their numbers or their run record"
    ]
    page = provenance.page(copy, changes=[])
    markup = html_of(page)
    assert markup.count('href="01_safety_amount.run.json"') == 2
    assert provenance.link_faults("page", markup) == []
    assert "safetune-stale" not in str(page)
    assert 'href="01_safety_amount.run.json"' in page.cells[-1].source


def test_the_run_record_says_how_the_page_came_to_be(copy: Path) -> None:
    record = json.loads(provenance.record_text(copy))
    for name in ("settings", "started", "seconds", "peak_memory_bytes", "code", "versions", "machine"):
        assert record[name], name
    assert record["settings"]["seeds"] == [0]
    assert record["made_from"]["notebook"] == store.file_hash(parameters.find("01"))
    assert "study.py" in record["made_from"]["code"]
    assert "data/corpus/safety.jsonl" in record["made_from"]["files"]
    closing = provenance.page(copy, changes=[]).cells[-1].source
    for shown in (
        record["code"],
        record["started"],
        "embedded-n5-seed0-instruction-abc",
        f"torch {record['versions']['torch']}",
    ):
        assert shown in closing


def test_runs_are_listed_once_with_the_pages_that_use_them(copy: Path) -> None:
    again = copy.with_name("02_exaggerated_safety.ipynb")
    again.write_bytes(copy.read_bytes())
    (line,) = [
        line
        for line in provenance.parts([copy, again])["runs_adapters"].splitlines()
        if "embedded-n5" in line
    ]
    assert "| 5 | 0 | 60 | 2.0 GB | [01]" in line
    assert line.count("ipynb") == 2


def test_a_page_is_stale_when_its_notebook_the_package_or_the_data_changed(
    copy: Path, source: Path, tmp_path: Path
) -> None:
    assert freshness.changes(source, copy) == []
    edited = tmp_path / source.name
    edited.write_text(source.read_text("utf-8").replace("How much", "How little"), "utf-8")
    assert freshness.changes(edited, copy) == ["the notebook"]
    notebook = nbformat.read(copy, as_version=4)
    notebook.metadata.safetune.made_from.code["study.py"] = "another"
    del notebook.metadata.safetune.made_from.files["data/corpus/safety.jsonl"]
    nbformat.write(notebook, copy)
    changes = freshness.changes(source, copy)
    assert changes == ["study.py", "data/corpus/safety.jsonl"]
    stale = provenance.page(copy, changes=changes).cells[1].source
    assert "safetune-stale" in stale
    assert "study.py, data/corpus/safety.jsonl" in stale


def test_a_copy_without_a_record_is_never_taken_for_fresh(tmp_path: Path, source: Path) -> None:
    copy = executed(
        tmp_path, source, malicious=statistics.Share(0.5, 0.4, 0.6, 98, 0, "Wilson"), recorded=False
    )
    assert freshness.changes(source, copy)
    assert "no record" in provenance.page(copy, changes=[]).cells[-1].source


def test_what_is_published_holds_the_numbers_and_no_output_text(copy: Path, tmp_path: Path) -> None:
    target = findings.publish([copy], name="mine", folder=tmp_path / "published")
    found = findings.read(target)["01_safety_amount"]
    assert found == findings.outcome(copy)
    share = {"kind": "Share", "n": 98, "value": 0.5, "low": 0.4, "high": 0.6}
    assert found["numbers"] == {"malicious_last": share, "claim_obeys_without_safety": share}
    assert found["adapters"]["embedded-n5-seed0-instruction-abc"]["seconds"] == 60.0
    assert (
        tmp_path / "published" / "mine" / "01_safety_amount-steps.csv"
    ).read_text() == "step,rows\nasked,9\nkept,3\n"
    for path in (tmp_path / "published").rglob("*.*"):
        assert path.is_dir() or SECRET not in path.read_text()
    with pytest.raises(SafetuneError, match="small letters"):
        findings.publish([copy], name="../up", folder=tmp_path)


def test_what_is_published_names_no_place_on_this_machine(copy: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(copy, as_version=4)
    notebook.metadata.safetune.settings |= {
        "base_model": str(tmp_path / "my-model"),
        "data": "embedded",
        "safety_data": None,
    }
    nbformat.write(notebook, copy)
    settings = findings.outcome(copy)["settings"]
    assert (settings["base_model"], settings["data"], settings["safety_data"]) == (
        "my-model",
        "embedded",
        None,
    )
    assert str(tmp_path) not in findings.publish(
        [copy], name="mine", folder=tmp_path / "published"
    ).read_text("utf-8")


def test_publishing_makes_no_page_stale(source: Path) -> None:
    assert not [
        name
        for name in freshness.inputs(source, {})["files"]
        if name.startswith("data/results/published") or name == "data/paper/claims.yml"
    ]


@pytest.mark.parametrize(
    ("theirs", "verdict"),
    [
        (
            statistics.Share(0.62, 0.52, 0.71, 98, 0, "Wilson"),
            "inside the noise",
        ),  # the intervals overlap, and the difference's holds 0
        (
            statistics.Share(0.66, 0.57, 0.75, 98, 0, "Wilson"),
            "outside the noise",
        ),  # they overlap, and it does not
        (statistics.Share(0.9, 0.82, 0.95, 98, 0, "Wilson"), "outside the noise"),
        (statistics.Share(float("nan"), float("nan"), float("nan"), 0, 98, "none"), "not comparable"),
    ],
)
def test_a_run_is_laid_beside_another(
    theirs: statistics.Share, verdict: str, copy: Path, source: Path, tmp_path: Path
) -> None:
    other = executed(tmp_path / "theirs", source, malicious=theirs)
    rows = compare.compare(findings.read(other.parent), findings.read(copy))
    assert [row["number"] for row in rows] == ["malicious_last", "claim_obeys_without_safety"]
    assert {row["verdict"] for row in compare.shown(rows)} == {verdict}


def test_the_comparison_in_the_terminal_as_json_and_as_a_page(
    copy: Path, source: Path, tmp_path: Path
) -> None:
    other = executed(
        tmp_path / "theirs", source, malicious=statistics.Share(0.9, 0.82, 0.95, 98, 0, "Wilson")
    )
    page = tmp_path / "compared.html"
    answer = CliRunner().invoke(app, ["compare", str(other.parent), str(copy), "--output", str(page)])
    assert answer.exit_code == 0, answer.output
    (line,) = [line for line in answer.output.splitlines() if "malicious_last" in line]
    for part in (
        "90 % (82 to 95 %, n = 98)",
        "50 % (40 to 60 %, n = 98)",
        "+40 points (+27 to +51)",
        "outside the noise",
    ):
        assert part in line
        assert part in page.read_text()
    assert compare.RULE in answer.output
    assert not re.search(r"(src|href)=", page.read_text())
    told = json.loads(CliRunner().invoke(app, ["compare", str(other.parent), str(copy), "--json"]).output)
    assert [row["inside"] for row in told["rows"]] == [False, False]
    assert told["settings_apart"] == []


def test_settings_that_differ_are_named_by_their_entry_and_a_run_older_than_a_setting_has_its_default(
    copy: Path,
) -> None:
    ours = findings.read(copy)
    older = json.loads(json.dumps(ours))
    settings = older["01_safety_amount"]["settings"]
    del settings["mixing"]["with_questions"]
    assert compare.settings_apart(older, ours) == []
    settings["recipe"]["epochs"] += 1
    settings["seeds"] = [7]
    epochs = settings["recipe"]["epochs"]
    assert compare.settings_apart(older, ours) == [
        "seeds: theirs [7], ours [0]",
        f"recipe.epochs: theirs {epochs}, ours {epochs - 1}",
    ]
    older["01_safety_amount"]["settings"] = None
    assert compare.settings_apart(older, ours) == []


def test_nothing_to_compare_is_said_in_one_line(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(SafetuneError, match="holds no executed notebook"):
        findings.read(tmp_path)
    with pytest.raises(SafetuneError, match="no published run"):
        findings.read("no-such-run")
    with pytest.raises(SafetuneError, match="nothing to compare"):
        compare.compare(findings.read(copy), {"09_other": {"numbers": {}}})
