"""The page of the verdicts: every claim, every run with its scale, and no claim that is not listed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import pytest
from estimates import change
from html_tables import rows_of
from made_outcomes import outcomes

from safetune_utils.book import chapters, figures, verdicts
from safetune_utils.book.findings import Outcomes, published
from safetune_utils.book.generated import verdicts as verdict_pages
from safetune_utils.book.verdicts import controls_of
from safetune_utils.errors import SafetuneError
from safetune_utils.places import data_folder
from safetune_utils.scoring.controls import ControlRow
from safetune_utils.statistics import Estimate

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator


def parts(
    ours: Outcomes, *, published: dict[str, Outcomes] | None = None, pages: set[str] | None = None
) -> dict[str, str]:
    """The page of a run, without negative controls that hold for every run."""
    return verdict_pages.parts(
        ours, found=verdicts.judged(ours), published=published or {}, controls=(), pages=pages or set()
    )


def difference(low: float, high: float, p_value: float = 0.001) -> Estimate:
    return change((low + high) / 2, low, high, p_value)


def test_the_table_names_each_claim_and_what_was_measured_here() -> None:
    table = verdict_pages.table(verdicts.judged({}), {}, pages=set())
    assert 'class="safetune-wide"' in table  # on a phone it scrolls by itself
    rows = rows_of(table)[1:]
    assert len(rows) == len(verdicts.claims())
    for row, one in zip(rows, verdicts.claims(), strict=True):
        assert row[0].startswith(f"{one.number}. {one.claim}")
        assert f"Here: {one.measured}" in row[0]
        (where,) = re.findall(r"\((chapter \d\d|no chapter)\)$", row[0])
        assert (where == "no chapter") == (not any(one.id in c.claims for c in chapters.chapters()))


def test_the_page_shows_each_run_with_its_interval_scale_and_verdict() -> None:
    ours = outcomes(claim_few_hundred_make_safer=difference(0.35, 0.55))
    theirs = outcomes(claim_few_hundred_make_safer=difference(-0.1, 0.1, 0.9))
    page = parts(ours, published={"pocket": ours, "other": theirs}, pages={"01_safety_amount"})["verdicts"]
    first, second = page.split("## The published runs")
    assert "+45 points (+35 to +55, n = 98)" in first
    assert "320 general rows and 0 to 200 of safety; 2 seeds" in first
    assert first.count("<strong>same direction") == 1
    # What readers have to read is nobody's to attempt without them.
    assert first.count("<strong>not attempted") == len(verdicts.claims()) - 2
    assert "This run decides 1 of the 10 claims: 1 same direction." in first
    assert "8 not attempted" in first
    # A published run that found the same is not shown twice; the other has a column with its scale.
    assert ">pocket<" not in second
    assert second.count(">other<") == 1
    assert "320 general rows and 0 to 200 of safety; 2 seeds" in second
    assert second.count("<strong>not seen at this scale") == 1
    assert "0 points (-10 to +10, n = 98)" in second
    assert second.count("<strong>not attempted") == len(verdicts.claims()) - 2
    assert "This run decides none of the 10 claims." in second
    alone = parts(ours, published={"pocket": ours})["verdicts"]
    assert "published runs" not in alone
    assert 'href="../notebooks/01_safety_amount.html"' in page
    assert "06_capability_and_helpfulness.html" not in page  # no such page in this book


def test_a_run_without_a_study_has_a_column_without_a_scale() -> None:
    column = verdict_pages.side_by_side(
        {"drafts": {"09_building_safety_data": {"settings": None, "numbers": {}}}}
    )
    assert rows_of(column)[0] == ["claim", "drafts"]
    assert column.count("<strong>not attempted") == len(verdicts.claims()) - 1


def test_a_column_says_which_chapters_had_how_many_seeds() -> None:
    def outcome(*seeds: int) -> dict[str, Any]:
        return {
            "settings": {
                "base_model": "embedded",
                "data": "mine",
                "n_general": 9,
                "safety_amounts": [0, 5],
                "seeds": list(seeds),
                "instruments": ["refusal-rules", "coherence"],
            },
            "made": {"instruments": {"refusal-rules": 2}} if seeds == (0, 1) else {},
            "numbers": {},
        }

    alike, unlike = (
        {"01_a": outcome(0, 1), "02_b": outcome(0, 1)},
        {"01_a": outcome(0, 1), "02_b": outcome(0, 1), "08_c": outcome(0)},
    )
    assert "0 to 5 of safety; 2 seeds; refusal-rules, version 2</small>" in verdict_pages.side_by_side(
        {"x": alike}
    )
    assert (
        "0 to 5 of safety; 2 seeds in chapters 01, 02; 1 seed in chapter 08"
        "; refusal-rules, version 2; refusal-rules, before version 2</small>"
        in verdict_pages.side_by_side({"x": unlike})
    )


def test_every_published_run_of_chapter_1_has_its_curve_with_the_committed_numbers() -> None:
    names = [name for name, run in published().items() if "01_safety_amount" in run]
    assert {"pocket", "pocket-seeds", "paper-sample"} <= set(names)
    for name in names:
        run = published()[name]["01_safety_amount"]
        amount = run["settings"]["safety_amounts"][-1]
        drawn = verdict_pages.curve(name, run)._repr_html_()
        assert "egative control" in drawn
        malicious = re.search(r"malicious requests: ([^;]*);", drawn).group(1)
        assert malicious.endswith(f"{run['numbers']['malicious_last'].value * 100:.0f} % at {amount}")
        assert ("Bands: from the lowest to the highest of 3 seeds" in drawn) == (
            len(run["settings"]["seeds"]) == 3
        )


def test_where_the_rule_changed_a_published_verdict_both_stand_side_by_side() -> None:
    run = outcomes(
        claim_few_hundred_make_safer=difference(0.4, 0.6), claim_opinion_not_behaviour=difference(0.4, 0.6)
    )
    rows = rows_of(verdict_pages.changed({"made": run}))
    assert [row[1:] for row in rows[1:]] == [
        [
            "made",
            "same direction",
            "cannot be decided no negative control of 'harmfulness', as it was then, was measured",
        ]
    ]


def test_claims_that_are_one_number_are_said_to_be() -> None:
    safer = difference(0.4, 0.6)
    two = outcomes(claim_few_hundred_make_safer=safer, claim_instructions_protect=safer)
    assert "Claims 2 and 5a are one number here" in verdict_pages.summary(verdicts.judged(two))
    other = outcomes(claim_few_hundred_make_safer=safer, claim_instructions_protect=difference(0.4, 0.62))
    told = verdict_pages.summary(verdicts.judged(other))
    assert "2 same direction" in told
    assert "counted twice" not in told


def test_a_published_curve_says_what_its_controls_came_to() -> None:
    def row(yes: int, **more: str) -> ControlRow:
        what = {"instrument": "refusal-rules", "control": "gibberish", "n": 66, "yes": yes, "passes": yes < 4}
        return cast("ControlRow", what | more)

    told = verdict_pages.controls_told
    assert told([row(0)], "refusal-rules").endswith("gibberish: 0 of 66; it passes them.")
    assert told([row(22)], "refusal-rules").endswith("it does NOT pass them: no claim rests on it.")
    assert told([row(0)], "refusal").startswith("No negative control of 'refusal' was measured")
    # A run's own controls go before those that were measured elsewhere, and these before none.
    theirs = [row(1, base_model="embedded"), row(2, base_model="another")]
    run = {"settings": {"base_model": "embedded"}}
    assert controls_of(run, theirs) == [theirs[0]]
    assert controls_of(run | {"controls": [row(0)]}, theirs) == [row(0)]


@pytest.mark.parametrize("name", published())
def test_a_published_curve_tells_whole_amounts_and_none_of_the_untuned_model(name: str) -> None:
    alt = verdict_pages.curve(name, published()[name]["01_safety_amount"]).alt
    assert not re.search(r" at (nan|\d+\.\d)", alt)


def test_a_finding_about_an_unknown_claim_is_a_fault() -> None:
    with pytest.raises(SafetuneError, match="claim_no_such"):
        parts(outcomes(claim_no_such=difference(0, 1)))


def test_a_published_curve_counts_contrast_rows_among_those_that_are_no_safety_examples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = published()["pocket"]["01_safety_amount"]
    given: dict[str, Any] = {}
    draw = verdict_pages.figures.dose_response

    def noted(curve: pd.DataFrame, **more: Any) -> figures.Figure:
        given.update(more)
        return draw(curve, **more)

    monkeypatch.setattr(verdict_pages.figures, "dose_response", noted)
    settings = run["settings"] | {"n_general": 300, "mixing": {"n_contrast": 20}}
    verdict_pages.curve("pocket", run | {"settings": settings})
    assert given["n_other"] == 320


def test_a_published_run_may_hold_findings_about_claims_that_are_no_longer_listed() -> None:
    older = outcomes(claim_no_such=difference(0, 1))
    page = parts({}, published={"older": older})["verdicts"]
    assert "This run decides none of the 10 claims." in page


def test_on_a_phone_a_verdict_comes_first_and_several_runs_stand_in_their_order(
    browser: Browser, tmp_path: Path
) -> None:
    run = outcomes(claim_few_hundred_make_safer=difference(0.35, 0.55))
    found = verdicts.judged(run)
    tables = [
        verdict_pages.table(found, run, pages=set()),
        verdict_pages.side_by_side({"one": run, "two": run, "three": run}),
    ]
    style = (data_folder().parent / "book" / "_static" / "book.css").read_text("utf-8")
    path = tmp_path / "page.html"
    path.write_text(f'<!doctype html><meta charset="utf-8"><style>{style}</style>{"".join(tables)}', "utf-8")
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(path.as_uri())
    ours, runs = (
        [
            cell.get_attribute("data-head")
            for cell in sorted(table.locator("tbody tr").nth(1).locator("td").all(), key=top)
        ]
        for table in page.locator("table").all()
    )
    assert (ours[0], len(ours)) == ("verdict", 3)
    assert runs == ["one", "two", "three"]  # without their scales, which stand before the claims
    assert page.locator("thead").nth(1).bounding_box()["height"] > 50
    page.close()


def top(cell: Locator) -> float:
    box = cell.bounding_box()
    assert box is not None
    return box["y"]
