"""The paper's claims: the verdict follows the stated rule, no figure is printed that is not known, nothing is
judged twice.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from estimates import MISSING, change
from estimates import share as level
from html_tables import rows_of

from safetune_utils.book import chapters, figures, parameters, verdicts
from safetune_utils.book.findings import published
from safetune_utils.errors import SafetuneError
from safetune_utils.places import data_folder
from safetune_utils.statistics import Estimate

PLAIN = {
    "id": "x",
    "number": "1",
    "claim": "c",
    "measured": "m",
    "expects": "above",
    "known": "k",
    "same_measure": False,
}


def claim(**changes: Any) -> verdicts.Claim:
    return verdicts.Claim(**PLAIN | changes)


def difference(low: float, high: float) -> Estimate:
    return change((low + high) / 2, low, high)


def share(low: float, high: float) -> Estimate:
    return level((low + high) / 2, low, high)


LITTLE = {"expects": "little_change", "margin": 0.05}
SAME = {"same_measure": True, "value": 0.3}


@pytest.mark.parametrize(
    ("changes", "finding", "expected"),
    [
        ({}, None, "not attempted"),
        ({}, MISSING, "not attempted"),
        ({}, difference(0.1, 0.5), "same direction"),
        ({}, difference(-0.1, 0.5), "not seen at this scale"),
        ({}, difference(0.0, 0.5), "not seen at this scale"),
        ({}, difference(-0.5, -0.1), "opposite direction"),
        ({}, difference(-0.5, 0.0), "not seen at this scale"),
        ({"expects": "below"}, difference(-0.5, -0.1), "same direction"),
        ({"expects": "below"}, difference(0.1, 0.5), "opposite direction"),
        # A share is held against one half.
        ({}, share(0.6, 0.9), "same direction"),
        ({}, share(0.4, 0.9), "not seen at this scale"),
        ({}, share(0.1, 0.4), "opposite direction"),
        # Little change takes the whole interval within the margin; an interval that only holds 0 does not do.
        (LITTLE, difference(-0.04, 0.03), "same direction"),
        (LITTLE, difference(0.01, 0.04), "same direction"),
        (LITTLE, difference(-0.2, 0.2), "not seen at this scale"),
        (LITTLE, difference(-0.2, -0.06), "opposite direction"),
        (LITTLE, difference(0.06, 0.2), "opposite direction"),
        # The margin itself is within it.
        (LITTLE, difference(-0.05, 0.05), "same direction"),
        (LITTLE, difference(-0.2, -0.05), "not seen at this scale"),
        (LITTLE, difference(0.05, 0.2), "not seen at this scale"),
        (LITTLE, share(0.46, 0.54), "same direction"),
        # Reproduced needs the same measure, the paper's value within the interval, and the direction.
        (SAME, difference(0.1, 0.5), "reproduced"),
        (SAME, difference(0.4, 0.5), "same direction"),
        (SAME, difference(-0.1, 0.5), "not seen at this scale"),
        ({"value": 0.3}, difference(0.1, 0.5), "same direction"),
    ],
)
def test_the_verdict_follows_the_rule(changes: dict, finding: Estimate | None, expected: str) -> None:
    assert verdicts.verdict(claim(**changes), finding) == expected


@pytest.mark.parametrize("changes", [{"expects": "little_change"}, {"margin": 0.1}, {"same_measure": True}])
def test_a_claim_that_cannot_be_judged_is_not_taken(changes: dict) -> None:
    with pytest.raises(ValueError, match=r"margin|value"):
        claim(**changes)


def test_the_listed_claims_say_how_their_figures_are_known_and_hold_no_verdict() -> None:
    text = (data_folder() / "paper" / "claims.yml").read_text("utf-8")
    assert not {"verdict", "ours"} & {key for entry in yaml.safe_load(text)["claims"] for key in entry}
    ways = (
        "read off the figure",
        "from the authors' annotation files",
        "from the authors' files",
        "quoted by someone who had the text",
    )
    for one in verdicts.claims():
        assert one.known in ways if one.figure else one.known.endswith("no figure is known"), one.id


def test_every_finding_that_a_notebook_records_is_about_a_listed_claim_of_its_chapter() -> None:
    for chapter in chapters.chapters():
        source = (parameters.folder() / f"{chapter.name}.ipynb").read_text("utf-8")
        for part in source.split('finding(\\"')[1:]:
            assert part.split("\\")[0] in chapter.claims


def outcomes(**numbers: Estimate) -> dict[str, Any]:
    settings = {
        "base_model": "embedded",
        "data": "embedded",
        "n_general": 320,
        "safety_amounts": [0, 200],
        "seeds": [0, 1],
    }
    return {"01_safety_amount": {"settings": settings, "numbers": numbers}}


def test_the_table_names_each_claim_and_what_was_measured_here() -> None:
    table = verdicts.table({}, pages=set())
    assert 'class="safetune-wide"' in table  # on a phone it scrolls by itself
    rows = rows_of(table)[1:]
    assert len(rows) == len(verdicts.claims())
    for row, one in zip(rows, verdicts.claims(), strict=True):
        assert row[0].startswith(f"{one.number}. {one.claim}")
        assert f"Here: {one.measured}" in row[0]
        (where,) = re.findall(r"\((chapter \d\d|no chapter)\)$", row[0])
        assert (where == "no chapter") == (not any(one.id in c.claims for c in chapters.chapters()))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"id": "x", "expects": "sideways"}], r"claims\.yml: .*(expects|number)"),
        ([PLAIN, PLAIN], r"claims\.yml: two claims have one id"),
    ],
)
def test_a_faulty_list_of_claims_is_told(
    entries: list[dict], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "claims.yml").write_text(yaml.safe_dump({"claims": entries}))
    monkeypatch.setattr(verdicts, "data_folder", lambda: tmp_path)
    with pytest.raises(SafetuneError, match=message):
        verdicts.claims()


def test_the_page_shows_each_run_with_its_interval_scale_and_verdict() -> None:
    ours = outcomes(claim_few_hundred_make_safer=difference(0.35, 0.55))
    theirs = outcomes(claim_few_hundred_make_safer=difference(-0.1, 0.1))
    page = verdicts.parts(ours, published={"pocket": ours, "other": theirs}, pages={"01_safety_amount"})[
        "verdicts"
    ]
    first, second = page.split("## The published runs")
    assert "+45 points (+35 to +55, n = 98)" in first
    assert "320 general rows and 0 to 200 of safety; 2 seeds" in first
    assert first.count("<strong>same direction") == 1
    assert first.count("<strong>not attempted") == len(verdicts.claims()) - 1
    # A published run that found the same is not shown twice; the other has a column with its scale.
    assert ">pocket<" not in second
    assert second.count(">other<") == 1
    assert "320 general rows and 0 to 200 of safety; 2 seeds" in second
    assert second.count("<strong>not seen at this scale") == 1
    assert "0 points (-10 to +10, n = 98)" in second
    assert second.count("<strong>not attempted") == len(verdicts.claims()) - 1
    alone = verdicts.parts(ours, published={"pocket": ours}, pages=set())["verdicts"]
    assert "published runs" not in alone
    assert 'href="../notebooks/01_safety_amount.html"' in page
    assert "06_capability_and_helpfulness.html" not in page  # no such page in this book


def test_a_run_without_a_study_has_a_column_without_a_scale() -> None:
    column = verdicts.side_by_side({"drafts": {"09_building_safety_data": {"settings": None, "numbers": {}}}})
    assert rows_of(column)[0] == ["claim", "drafts"]
    assert column.count("<strong>not attempted") == len(verdicts.claims())


def test_a_column_says_which_chapters_had_how_many_seeds() -> None:
    def outcome(*seeds: int) -> dict[str, Any]:
        return {
            "settings": {
                "base_model": "embedded",
                "data": "mine",
                "n_general": 9,
                "safety_amounts": [0, 5],
                "seeds": list(seeds),
            },
            "numbers": {},
        }

    alike, unlike = (
        {"01_a": outcome(0, 1), "02_b": outcome(0, 1)},
        {"01_a": outcome(0, 1), "02_b": outcome(0, 1), "08_c": outcome(0)},
    )
    assert "0 to 5 of safety; 2 seeds</small>" in verdicts.side_by_side({"x": alike})
    assert (
        "0 to 5 of safety; 2 seeds in chapters 01, 02; 1 seed in chapter 08</small>"
        in verdicts.side_by_side({"x": unlike})
    )


def test_every_published_run_of_chapter_1_has_its_curve_with_the_committed_numbers() -> None:
    names = [name for name, run in published().items() if "01_safety_amount" in run]
    assert {"pocket", "pocket-seeds", "paper-sample"} <= set(names)
    for name in names:
        run = published()[name]["01_safety_amount"]
        amount = run["settings"]["safety_amounts"][-1]
        drawn = verdicts.curve(name, run["settings"])
        malicious = re.search(r"malicious requests: ([^;]*);", drawn).group(1)
        assert malicious.endswith(f"{run['numbers']['malicious_last'].value * 100:.0f} % at {amount}")
        assert ("Bands: from the lowest to the highest of 3 seeds" in drawn) == (
            len(run["settings"]["seeds"]) == 3
        )


def test_a_finding_about_an_unknown_claim_or_by_two_chapters_is_a_fault() -> None:
    with pytest.raises(SafetuneError, match="claim_no_such"):
        verdicts.parts(outcomes(claim_no_such=difference(0, 1)), published={}, pages=set())
    twice = outcomes(claim_few_hundred_make_safer=difference(0, 1))
    with pytest.raises(SafetuneError, match="two chapters"):
        verdicts.parts(
            twice | {"02_exaggerated_safety": twice["01_safety_amount"]}, published={}, pages=set()
        )


def test_a_published_curve_counts_contrast_rows_among_those_that_are_no_safety_examples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = published()["pocket"]["01_safety_amount"]["settings"]
    given: dict[str, Any] = {}
    draw = verdicts.figures.dose_response

    def noted(curve: pd.DataFrame, **more: Any) -> figures.Figure:
        given.update(more)
        return draw(curve, **more)

    monkeypatch.setattr(verdicts.figures, "dose_response", noted)
    verdicts.curve("pocket", settings | {"n_general": 300, "mixing": {"n_contrast": 20}})
    assert given["n_other"] == 320
