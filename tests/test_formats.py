"""Two forms of one request: they meet under one name, their shares stand in a matrix, and the two chapters
run.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from safetune_utils import data, statistics, store
from safetune_utils.book import figures, tables
from safetune_utils.book.words import question_forms
from safetune_utils.scoring import readings
from safetune_utils.scoring.score import Score
from safetune_utils.study import mixes, responses, stages
from safetune_utils.study.design import state
from safetune_utils.study.study import Study

PAIRS = (("malicious", "malicious_questions"), ("controversial", "opinions"))


def table(prompts: list[data.Prompt], values: list[bool | None]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "prompt_id": [p.id for p in prompts],
            "pair": [p.pair for p in prompts],
            "refused": pd.Series(values, dtype=object),
        }
    )


@pytest.mark.parametrize(
    ("source", "sets", "paired"), [("embedded", PAIRS[0], 98), ("embedded", PAIRS[1], 48)]
)
def test_two_forms_of_a_request_are_paired(source: str, sets: tuple[str, str], paired: int) -> None:
    first, second = (data.prompts(source, name) for name in sets)
    # The second in another order: it is the name that pairs, not the place.
    sides = (
        statistics.per_request(table(first, [False] * len(first))),
        statistics.per_request(table(second[::-1], [True] * len(second))),
    )
    found = statistics.paired_difference(*sides)
    assert (found.n_pairs, found.difference) == (paired, 1.0)
    assert [p.request for p in first] == [p.request for p in second]


@pytest.mark.usefixtures("mirror")
def test_the_paper_s_opinions_are_paired_with_its_instructions_and_its_questions_with_none() -> None:
    shared = [
        len(
            {p.request for p in data.prompts("paper-sample", a)}
            & {p.request for p in data.prompts("paper-sample", b)}
        )
        for a, b in PAIRS
    ]
    assert shared == [0, len(data.prompts("paper-sample", "opinions"))]


@pytest.mark.usefixtures("mirror")
def test_forms_can_be_compared_on_the_same_rows_where_some_rows_have_no_question() -> None:
    def rows(form: str, **mixing: bool) -> set[str]:
        study = state(
            prompt_sets=[], data="paper-sample", safety_amounts=[50], safety_format=form, mixing=mixing
        )
        return {row.id for row in mixes.safety_rows(study, study.runs[0])}

    assert (
        rows("instruction", with_questions=True)
        == rows("question", with_questions=True)
        == rows("mixed", with_questions=True)
    )
    assert rows("instruction") != rows("question")  # else there would be nothing to mend


def test_a_pair_names_the_other_s_id_or_is_a_name_of_both_and_seeds_are_averaged() -> None:
    one = pd.DataFrame({"prompt_id": ["a", "b", "c"], "pair": ["", "x", ""], "refused": [True, False, True]})
    two = pd.DataFrame(
        {
            "prompt_id": ["q", "q", "r", "s"],
            "pair": ["a", "a", "x", ""],
            "refused": pd.Series([True, False, True, None], dtype=object),
        }
    )
    assert statistics.per_request(one).mean(axis=1).to_dict() == {"a": 1.0, "x": 0.0, "c": 1.0}
    assert statistics.per_request(two).mean(axis=1).to_dict() == {"a": 0.5, "x": 1.0}
    assert statistics.paired_difference(statistics.per_request(one), statistics.per_request(two)).n_pairs == 2


def test_the_p_value_of_averages_is_that_of_mcnemar_where_they_are_yes_or_no() -> None:
    rng = np.random.default_rng(3)
    before, after = (
        pd.Series(rng.random(14) < 0.3).astype(float),
        pd.Series(rng.random(14) < 0.8).astype(float),
    )
    gained, lost = int((after > before).sum()), int((after < before).sum())
    exact = mcnemar([[0, gained], [lost, 0]], exact=True).pvalue
    assert statistics.paired_difference(before, after).p_value == pytest.approx(exact)
    # Halving every value keeps the signs and the order of the sums, and takes the other way to the same
    # answer.
    assert statistics.paired_difference(before / 2, after / 2).p_value == pytest.approx(exact, abs=0.02)
    alike = pd.Series([0.5] * 10)
    assert statistics.paired_difference(alike, alike).p_value == 1.0


def test_holm_corrects_for_those_that_are_there() -> None:
    # Holm's own steps: the smallest times 3, the next times 2, never falling, never above 1.
    found = statistics.holm([0.04, 0.01, math.nan, 0.9])
    assert found[:2] == pytest.approx([0.08, 0.03])
    assert math.isnan(found[2])
    assert found[3] == pytest.approx(0.9)
    assert all(math.isnan(p) for p in statistics.holm([math.nan]))
    assert statistics.holm([]) == []


@pytest.fixture
def matrix() -> pd.DataFrame:
    cells = {
        ("none", "malicious"): 0,
        ("none", "malicious_questions"): 2,
        ("questions", "malicious"): 5,
        ("questions", "malicious_questions"): 10,
    }
    rows = [
        {"trained": trained, "prompt_set": prompt_set, "prompt_id": f"p{i}", "refused": i < n}
        for (trained, prompt_set), n in cells.items()
        for i in range(10)
    ]
    answers = pd.DataFrame(rows)
    answers["trained"] = pd.Categorical(answers["trained"], ["questions", "none"], ordered=True)
    return statistics.summarise(answers, by=["trained", "prompt_set"])


def test_the_matrix_shows_each_share_with_interval_and_n_where_it_belongs(
    matrix: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = state(prompt_sets=["malicious", "malicious_questions"], preset="smoke")
    monkeypatch.setattr(Study, "leaks", lambda _: {"malicious": ["p1"]})
    page = tables.transfer_table(matrix, [study, study], what="answers that refuse").data
    body = page.split("<tbody>")[1]
    assert body.index("questions") < body.index("none")  # the order of the rows is that of the table
    low, high = matrix.set_index(["trained", "prompt_set"]).loc[("questions", "malicious"), ["low", "high"]]
    first_row = body.split("</tr>")[0]
    assert (
        f"50 <small>({low * 100:.0f}–{high * 100:.0f})</small><br><small>n = 10</small>"
        in first_row.split("</td>")[0]
    )
    assert "100 <small>" in first_row.split("</td>")[1]
    assert "trained on word for word: 1 of malicious requests" in page


def test_the_matrix_and_the_dumbbells_say_their_numbers(matrix: pd.DataFrame) -> None:
    drawn = figures.transfer_matrix(matrix, name="transfer", caption="c")
    assert (
        "trained on questions: 50 % of malicious requests, 100 % of malicious questions; trained on none: 0 % of malicious requests, 20 %"
        in drawn.alt
    )
    assert drawn.light != drawn.dark
    assert len(drawn.csv.splitlines()) == 5

    shares = {"low": 0.0, "high": 1.0}
    rows = [
        {"measure": measure, "prompt_set": s, "n_safety": n, "share": share, **shares}
        for measure in ("refuse", "called harmful")
        for s, n, share in (
            ("controversial", 0, 0.1),
            ("opinions", 0, 0.4),
            ("controversial", 9, float("nan")),
            ("opinions", 9, 0.5),
        )
    ]
    for measures in (1, 2):
        drawn = figures.dumbbells(pd.DataFrame(rows[: 4 * measures]), name="d", caption="c")
        assert "refuse, opinions asked: 40 % at 0, 50 % at 9" in drawn.alt
        assert "controversial requests: 10 % at 0, not scored at 9" in drawn.alt
        assert ("called harmful" in drawn.alt) == (measures == 2)


def test_comparisons_are_corrected_together_and_what_is_not_paired_says_so() -> None:
    nan = float("nan")
    differences = {
        "a": statistics.Difference(0.5, 0.2, 0.8, 0.01, 9),
        "b": statistics.Difference(-0.1, -0.3, 0.1, 0.3, 9),
        "c": statistics.Difference(nan, nan, nan, nan, 0),
    }
    page = tables.comparisons(differences, caption="c").data
    assert "<td>+50</td><td>+20 to +80</td><td>9</td><td>0.020</td>" in page
    assert "<td>-10</td><td>-30 to +10</td><td>9</td><td>0.300</td>" in page
    assert "not paired" in page


def test_readings_are_yes_or_no_and_missing_where_unscored() -> None:
    answers = pd.DataFrame(
        {"refused": [True, False, None], "coherence": [1.0, 0.0, np.nan], "harmfulness": [0.5, 3.0, np.nan]}
    )
    found = readings.readings(answers, names=["refusal-rules", "coherence", "harmfulness"])
    assert list(found) == ["refuse", "called harmful", "can be read"]
    assert [list(values[:2]) for values in found.values()] == [[True, False], [False, True], [True, False]]
    assert all(pd.isna(values.iloc[2]) for values in found.values())
    assert list(readings.readings(answers, names=["refusal-rules"])) == ["refuse"]


def test_answers_are_read_under_the_other_form_of_their_request(monkeypatch: pytest.MonkeyPatch) -> None:
    study = state(prompt_sets=["controversial", "opinions"], preset="smoke", safety_amounts=[0])
    (run,) = study.runs
    asked = {name: study.prompts(name) for name in study.prompt_sets}
    folder = stages.responses_folder(study, run, "opinions")
    folder.mkdir(parents=True)
    store.write_lines(
        folder / "responses.jsonl",
        [vars(p) | {"response": f"answer to {p.id}"} for p in asked["opinions"][::-1]],
    )
    seen: list[tuple[str, str]] = []

    def score(_: str, prompts: list[str], responses: list[str]) -> list[Score]:
        seen.extend(zip(prompts, responses, strict=True))
        return [Score(value=1.0) for _ in prompts]

    monkeypatch.setattr(instruments, "score", score)
    own = stages.scores_folder(study, run, "opinions", "harmfulness")
    seen.clear()
    found = responses.read_as(study, "opinions", asked_as="controversial", instrument="harmfulness")
    assert seen == [(p.text, f"answer to {p.id}") for p in asked["controversial"][::-1]]
    assert set(found["prompt_id"]) == {p.id for p in asked["opinions"]}
    assert stages.scores_folder(study, run, "opinions", "harmfulness", asked_as="controversial") != own


@pytest.mark.parametrize(
    ("safety_format", "words"),
    [("instruction", "none"), ("question", "8 as their authors wrote them"), ("mixed", "4 as their")],
)
def test_a_mix_says_where_its_question_forms_come_from(safety_format: str, words: str) -> None:
    study = state(prompt_sets=[], preset="smoke", safety_amounts=[8], safety_format=safety_format)
    assert question_forms(study).startswith(words)


@pytest.mark.usefixtures("mirror")
def test_rewritten_question_forms_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safetune_utils.data.paper._red_team_questions", dict)
    study = state(
        prompt_sets=[], preset="smoke", data="paper-sample", safety_amounts=[8], safety_format="question"
    )
    assert question_forms(study) == "8 rewritten from the instruction by rule"
