"""One run laid beside another."""

from __future__ import annotations

import copy as copy_module
import json
import math
import re
from pathlib import Path

import nbformat
import pytest
from estimates import UNSCORED, change, share
from executed_copy import executed
from made_responses import NASTY
from typer.testing import CliRunner

from safetune_utils.book import compare, findings
from safetune_utils.cli.main import app
from safetune_utils.errors import SafetuneError
from safetune_utils.places import store_folder
from safetune_utils.scoring import refusal_rules
from safetune_utils.statistics import Estimate


@pytest.mark.parametrize(
    ("theirs", "verdict"),
    [
        # The intervals overlap, and the difference's holds 0; then they overlap, and it does not.
        (share(0.62, 0.52, 0.71), "inside the noise"),
        (share(0.66, 0.57, 0.75), "outside the noise"),
        (share(0.9, 0.82, 0.95), "outside the noise"),
        (UNSCORED, "not comparable"),
    ],
)
def test_a_run_is_laid_beside_another(
    theirs: Estimate, verdict: str, copy: Path, source: Path, tmp_path: Path
) -> None:
    other = executed(tmp_path / "theirs", source, malicious=theirs)
    rows = compare.compare(findings.read(other.parent), findings.read(copy))
    assert [row["number"] for row in rows] == ["malicious_last", "claim_follows_usefully_without_safety"]
    assert {row["verdict"] for row in compare.shown(rows)} == {verdict}


def test_the_comparison_in_the_terminal_as_json_and_as_a_page(
    copy: Path, source: Path, tmp_path: Path
) -> None:
    other = executed(tmp_path / "theirs", source, malicious=share(0.9, 0.82, 0.95))
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
    older = copy_module.deepcopy(ours)
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
    settings |= ours["01_safety_amount"]["settings"]
    now = refusal_rules.VERSION
    for noted, told in ((1, "version 1"), (None, f"before version {now}")):
        older["01_safety_amount"]["made"]["instruments"] = {"refusal-rules": noted} if noted else {}
        assert compare.settings_apart(older, ours)[-1] == (
            f"instrument: theirs refusal-rules, {told}, ours refusal-rules, version {now}"
        )
    older["01_safety_amount"]["settings"] = None
    assert compare.settings_apart(older, ours) == []


def test_nothing_to_compare_is_said_in_one_line(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(SafetuneError, match="holds no executed notebook"):
        findings.read(tmp_path)
    with pytest.raises(SafetuneError, match="no published run"):
        findings.read("no-such-run")
    with pytest.raises(SafetuneError, match="nothing to compare"):
        compare.compare(findings.read(copy), {"09_other": {"numbers": {}}})


def test_the_difference_is_theirs_less_ours_with_an_interval_from_both() -> None:
    theirs, ours = share(0.8, 0.7, 0.87), share(0.6, 0.5, 0.69)
    (row,) = compare.compare({"a": {"numbers": {"x": theirs}}}, {"a": {"numbers": {"x": ours}}})
    assert row["difference"].value == pytest.approx(0.2)
    # Newcombe (1998), method 10: the roots of the squared distances to the bounds that face each other.
    assert row["difference"].low == pytest.approx(0.2 - math.hypot(0.8 - 0.7, 0.69 - 0.6))
    assert row["difference"].high == pytest.approx(0.2 + math.hypot(0.87 - 0.8, 0.6 - 0.5))
    assert row["inside"] is False
    rows = [row, row | {"inside": True}, row | {"inside": True}, row | {"inside": None}]
    assert compare.summary(rows) == "2 of 3 numbers are inside the noise, 1 outside; 1 could not be compared."
    verdicts = [shown["verdict"] for shown in compare.shown(rows)]
    assert verdicts == ["outside the noise", *["inside the noise"] * 2, "not comparable"]


@pytest.mark.parametrize(
    "theirs",
    [
        None,
        change(0.5, 0.4, 0.6),
        share(0.5, 0.4, 0.6, unit="nats"),
        UNSCORED,
    ],
)
def test_a_number_that_one_side_lacks_or_that_is_of_another_kind_is_not_compared(
    theirs: Estimate | None,
) -> None:
    numbers = {"x": theirs} if theirs else {}
    (row,) = compare.compare({"a": {"numbers": numbers}}, {"a": {"numbers": {"x": share(0.5, 0.4, 0.6)}}})
    assert (row["theirs"], row["difference"], row["inside"]) == (theirs, None, None)
    assert compare.shown([row])[0]["verdict"] == "not comparable"


def test_the_page_of_a_comparison_is_inert() -> None:
    (row,) = compare.compare(
        {"a": {"numbers": {NASTY: share(0.5, 0.4, 0.6)}}}, {"a": {"numbers": {NASTY: share(0.5, 0.4, 0.6)}}}
    )
    page = compare.page([row], theirs=NASTY, ours="ours", apart=[NASTY])
    assert "<script" not in page
    assert "<img" not in page
    assert "inside the noise" in page


def in_store(source: Path, value: float, *, preset: str, started: str) -> None:
    """An executed copy of chapter 1 as the run store holds it."""
    folder = store_folder() / "notebooks" / f"{source.stem}-{preset}-{value}"
    path = executed(folder, source, malicious=share(value, value - 0.1, value + 0.1))
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["safetune"]["settings"]["preset"] = preset
    notebook.metadata["safetune"]["started"] = started
    nbformat.write(notebook, path)


def test_alone_it_takes_the_store_s_last_pages_and_the_published_run_of_their_preset(source: Path) -> None:
    in_store(source, 0.3, preset="pocket", started="2026-01-01T00:00:00+00:00")
    in_store(source, 0.5, preset="pocket", started="2026-01-02T00:00:00+00:00")
    in_store(source, 0.7, preset="smoke", started="2026-01-01T12:00:00+00:00")
    told = json.loads(CliRunner().invoke(app, ["compare", "--json"]).output)
    assert (told["theirs"], told["ours"]) == ("run store", "pocket")
    assert {row["theirs"]["value"] for row in told["rows"] if row["theirs"]} == {0.5}
    assert findings.of_store("smoke")["01_safety_amount"]["numbers"]["malicious_last"].value == 0.7
    with pytest.raises(SafetuneError, match="no run of preset smoke is published"):
        findings.published_like(findings.of_store("smoke"))


def test_the_book_s_page_lays_its_pages_beside_the_published_run_or_says_why_not(source: Path) -> None:
    with pytest.raises(SafetuneError, match="has no executed chapter: run `safetune book` first"):
        findings.of_store()
    in_store(source, 0.5, preset="pocket", started="2026-01-01T00:00:00+00:00")
    part = compare.part(findings.of_store())
    assert "ours the published run pocket" in part
    assert "50 % (40 to 60 %, n = 98)" in part
    in_store(source, 0.5, preset="smoke", started="2026-01-02T00:00:00+00:00")
    assert "no run of preset smoke is published" in compare.part(findings.of_store())
