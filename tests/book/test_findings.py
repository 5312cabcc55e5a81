"""What is published of a run: its numbers, and no text of an output."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from estimates import share
from executed_copy import SECRET, displayed, executed
from IPython.core.formatters import DisplayFormatter

from safetune_utils.book import findings, tables
from safetune_utils.data import available_prompt_sets
from safetune_utils.errors import SafetuneError


def test_what_is_published_holds_the_numbers_and_no_output_text(copy: Path, tmp_path: Path) -> None:
    target = findings.publish([copy], name="mine", folder=tmp_path / "published")
    found = findings.read(target)["01_safety_amount"]
    assert found == findings.outcome(copy)
    number = share(0.5, 0.4, 0.6)
    assert found["numbers"] == {"malicious_last": number, "claim_follows_usefully_without_safety": number}
    assert found["adapters"]["embedded-n5-seed0-instruction-abc"]["seconds"] == 60.0
    table = tmp_path / "published" / "mine" / "01_safety_amount-steps.csv"
    assert table.read_text() == "step,rows\nasked,9\nkept,3\n"
    for path in (tmp_path / "published").rglob("*.*"):
        assert path.is_dir() or SECRET not in path.read_text()
    with pytest.raises(SafetuneError, match="small letters"):
        findings.publish([copy], name="../up", folder=tmp_path)


def test_every_prompt_set_by_every_instrument_is_published(copy: Path, tmp_path: Path) -> None:
    asked = [*available_prompt_sets("paper-sample")]
    assert {"hateful", "physical_safe", "physical_unsafe"} <= set(asked)
    shares = pd.DataFrame(
        {"instrument": name, "says": "refuse", "prompt_set": prompt_set, "n_safety": 0}
        | {"share": 0.5, "low": 0.4, "high": 0.6, "n_scored": 9, "n_unscored": 0, "method": "Wilson"}
        for name in ("refusal-rules", "refusal")
        for prompt_set in asked
    )
    # As a kernel shows it: what a table says of itself must outlive that.
    shown = displayed(*DisplayFormatter().format(tables.instrument_table(shares)))
    notebook = nbformat.read(copy, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("2", outputs=[shown]))
    nbformat.write(notebook, copy)
    findings.publish([copy], name="mine", folder=tmp_path / "published")
    found = pd.read_csv(tmp_path / "published" / "mine" / "01_safety_amount-instruments.csv")
    assert set(found["prompt_set"]) == set(asked)
    assert set(found["instrument"]) == {"refusal-rules", "refusal"}
    assert set(found["n_scored"]) == {9}


def test_what_is_published_names_no_place_on_this_machine(copy: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(copy, as_version=4)
    notebook.metadata.safetune.settings |= {
        "base_model": str(tmp_path / "mon modèle"),
        "data": "embedded",
        "safety_data": None,
    }
    nbformat.write(notebook, copy)
    settings = findings.outcome(copy)["settings"]
    shown = {name: settings[name] for name in ("base_model", "data", "safety_data")}
    assert shown == {"base_model": "mon modèle", "data": "embedded", "safety_data": None}
    published = findings.publish([copy], name="mine", folder=tmp_path / "published")
    assert str(tmp_path) not in published.read_text("utf-8")
    assert "mon modèle" in published.read_text("utf-8")  # as people read it


def test_negative_controls_of_a_page_are_published_with_it(copy: Path, tmp_path: Path) -> None:
    row = {"instrument": "refusal-rules", "control": "gibberish", "n": 66, "yes": 0, "passes": True}
    assert findings.outcome(copy)["controls"] == []
    notebook = nbformat.read(copy, as_version=4)
    notebook.cells[1].outputs.append(displayed({}, {"safetune": {"controls": [row]}}))
    nbformat.write(notebook, copy)
    published = findings.publish([copy], name="mine", folder=tmp_path / "published")
    assert findings.read(published)[copy.stem]["controls"] == [row]
    # A run that was published before there were controls has none.
    older = json.loads(published.read_text("utf-8"))
    del older["notebooks"][copy.stem]["controls"]
    published.write_text(json.dumps(older), "utf-8")
    assert findings.read(published)[copy.stem]["controls"] == []


def test_a_copy_without_a_record_has_numbers_and_nothing_else(tmp_path: Path, source: Path) -> None:
    copy = executed(tmp_path, source, malicious=share(0.5, 0.4, 0.6), recorded=False)
    found = findings.outcome(copy)
    assert (found["settings"], found["made"], found["adapters"]) == (None, {}, {})
    assert found["numbers"]["malicious_last"].value == 0.5


def test_a_folder_of_copies_is_read_without_those_that_failed_or_are_not_whole(copy: Path) -> None:
    for name in ("02_exaggerated_safety.failed.ipynb", "03_prompt_format.partial.ipynb"):
        copy.with_name(name).write_bytes(copy.read_bytes())
    assert findings.read(copy.parent) == findings.read(copy) == {copy.stem: findings.outcome(copy)}


def test_the_published_runs_hold_the_settings_and_intervals_that_comparisons_need() -> None:
    runs = findings.published()
    assert {"pocket", "pocket-seeds", "paper-sample"} <= set(runs)
    assert runs["pocket"] == findings.read("pocket")
    for chapters in runs.values():
        assert chapters["01_safety_amount"]["settings"]["safety_amounts"]
        for number in chapters["01_safety_amount"]["numbers"].values():
            assert math.isnan(number.low) or number.low <= number.value <= number.high


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"notebooks": []}',
        '{"notebooks": {"01": 3}}',
        '{"notebooks": {"01": {"settings": 3, "made": {}, "adapters": {}, "numbers": {}}}}',
        '{"notebooks": {"01": {"settings": "ab", "made": {}, "adapters": {}, "numbers": {}}}}',
        '{"notebooks": {"01": {"settings": {}, "made": {"instruments": 2}, "adapters": {}, "numbers": {}}}}',
        '{"notebooks": {"01": {"settings": null, "made": {}, "adapters": {}, "numbers": {"x": {"n": 1}}}}}',
        '{"notebooks": {"01": {"settings": null, "made": {}, "adapters": {}, "numbers": {"x": '
        '{"value": 1, "low": 0, "high": 1, "n": "many"}}}}}',
        '{"notebooks": {}, "notebooks": {}}',
        "[" * 100_000,
    ],
)
def test_a_file_that_is_no_published_run_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "theirs.json"
    path.write_text(text)
    with pytest.raises(SafetuneError) as caught:
        findings.read(path)
    assert "\n" not in str(caught.value)
    assert re.search(
        r"theirs\.json.*(publish the run again|no published run)|no number with its", str(caught.value)
    )
