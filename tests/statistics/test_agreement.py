"""Agreement of instruments with people and of raters with each other, against published examples."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from sklearn import metrics

from safetune_utils.statistics import (
    SourceCounts,
    agreement,
    case_counts,
    cohen_kappa,
    corrected_share,
    kappa_from_margins,
    krippendorff_alpha,
    share,
)
from safetune_utils.statistics.agreement import _sources_drawn


def test_agreement_is_that_of_scikit_learn_and_its_intervals_hold_it() -> None:
    rng = np.random.default_rng(1)
    people = rng.random(300) < 0.3
    instrument = np.where(rng.random(300) < 0.9, people, ~people)
    found = agreement(people, instrument)
    expected = (
        metrics.accuracy_score(people, instrument),
        metrics.precision_score(people, instrument),
        metrics.recall_score(people, instrument),
        metrics.cohen_kappa_score(people, instrument),
    )
    for estimate, value in zip(found[:4], expected, strict=True):
        assert estimate.value == pytest.approx(value)
        assert estimate.low < value < estimate.high
    assert found.n == 300
    # Rows that always come in threes tell a third as much.
    threes = agreement(np.repeat(people, 3), np.repeat(instrument, 3), clusters=np.repeat(np.arange(300), 3))
    alone = agreement(np.repeat(people, 3), np.repeat(instrument, 3))
    assert threes.kappa.high - threes.kappa.low == pytest.approx(found.kappa.high - found.kappa.low)
    assert alone.kappa.high - alone.kappa.low < 0.7 * (threes.kappa.high - threes.kappa.low)


@pytest.mark.filterwarnings("error")
def test_an_instrument_that_never_says_yes_has_no_precision_and_no_warning() -> None:
    found = agreement([True, False, True], [False, False, False])
    assert np.isnan([found.precision.value, found.precision.low, found.precision.high]).all()
    assert (found.recall.value, found.kappa.value) == pytest.approx((0, 0))


def source(name: str, both: int, instrument_alone: int, people_alone: int, neither: int) -> SourceCounts:
    return {
        "source": name,
        "both": both,
        "instrument_alone": instrument_alone,
        "people_alone": people_alone,
        "neither": neither,
    }


def test_a_share_is_corrected_for_the_instruments_errors() -> None:
    labelled = [source("one", 80, 10, 20, 90)]  # finds .8, and .1 too many
    measured = pd.Series(np.repeat([1.0, 0.0, np.nan], [45, 55, 7]))
    corrected = corrected_share(measured, labelled=labelled)
    assert corrected.value == pytest.approx((0.45 - 0.1) / (0.8 - 0.1))
    plain = share(measured)
    # The instrument's own uncertainty is in it.
    assert corrected.high - corrected.low > plain.high - plain.low
    none = corrected_share(pd.Series([0.0] * 6), labelled=[source("one", 80, 0, 20, 100)])
    assert none.value == none.low == 0
    assert 0.2 < none.high < 0.6  # six answers without a refusal do not show that there is none
    # With an instrument that never errs the upper bound is that of Jeffreys' posterior, beta(.5, 6.5).
    sure = corrected_share(pd.Series([0.0] * 6), labelled=[source("one", 100, 0, 0, 100)])
    assert sure.high == pytest.approx(scipy_stats.beta.ppf(0.975, 0.5, 6.5), abs=0.015)
    worse = corrected_share(measured, labelled=[source("one", 20, 90, 80, 10)])
    assert np.isnan([worse.value, worse.low, worse.high]).all()
    nothing = corrected_share(pd.Series([np.nan]), labelled=labelled)
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


def test_an_instrument_that_errs_by_source_corrects_less_surely() -> None:
    measured = pd.Series(np.repeat([1.0, 0.0], [45, 55]))

    def width(labelled: list[SourceCounts]) -> float:
        found = corrected_share(measured, labelled=labelled)
        assert found.value == pytest.approx(corrected_share(measured, labelled=[pooled]).value)
        return found.high - found.low

    # The rules find so much of the refusals of seven sources.
    found = (91, 92, 20, 89, 61, 71, 21)
    apart = [source(str(n), both, 2, 100 - both, 98) for n, both in enumerate(found)]
    alike = [source(str(n), round(sum(found) / 7), 2, 100 - round(sum(found) / 7), 98) for n in range(7)]
    pooled = source("all", sum(found), 14, 700 - sum(found), 686)
    assert width(apart) > 1.5 * width([pooled])
    pooled = source("all", 7 * alike[0]["both"], 14, 7 * alike[0]["people_alone"], 686)
    # Where the sources are alike, to know them tells nothing.
    assert width(alike) == pytest.approx(width([pooled]), rel=0.1)
    # One without rows says nothing, either way.
    assert corrected_share(measured, labelled=[*apart, source("none", 0, 0, 0, 0)]) == corrected_share(
        measured, labelled=apart
    )


def test_the_variance_of_drawn_sources_is_that_of_two_stages() -> None:
    # Ten sources of 50 refusals, found with a share that varies between sources; Davison and Hinkley (1997):
    # the variance between the sources' shares, and that of rows within each, both over the number of sources.
    shares = np.linspace(0.5, 0.95, 10)
    counts = np.array([[round(50 * p), 0, 50 - round(50 * p), 0] for p in shares])
    drawn = _sources_drawn(counts)
    assert (drawn.sum(axis=1) == 500).all()
    found = counts[:, 0] / 50
    variance = (found.var() + (found * (1 - found) / 50).mean()) / 10
    assert (drawn[:, 0] / 500).std() == pytest.approx(math.sqrt(variance), rel=0.05)


def test_rows_are_counted_by_who_said_yes() -> None:
    people = pd.Series([True, True, True, False, False, False, False, True, True, False], dtype=object)
    instrument = pd.Series([True, True, False, True, False, False, False, False, False, False], dtype=object)
    assert case_counts(people.to_numpy(), instrument.to_numpy()) == {
        "both": 2,
        "instrument_alone": 1,
        "people_alone": 3,
        "neither": 4,
    }


@pytest.mark.parametrize(("n_scored", "n_labelled"), [(200, 2000), (2000, 200), (200, 200)])
@pytest.mark.parametrize("n_seeds", [1, 4])
def test_the_interval_of_a_corrected_share_holds_both_uncertainties(
    n_scored: int, n_labelled: int, n_seeds: int
) -> None:
    # Rogan and Gladen (1978): the variances of the measured share and of the two error rates, each with the
    # square of how steeply the estimate depends on it.
    sensitivity, false_alarms, found = 0.8, 0.1, 0.45
    yes = n_labelled // 2
    seen, false = round(sensitivity * yes), round(false_alarms * yes)
    labelled = [source("one", seen, false, yes - seen, yes - false)]
    values = pd.concat([pd.Series(np.arange(n_scored) < found * n_scored)] * n_seeds, ignore_index=True)
    prompts = pd.Series(np.tile(np.arange(n_scored), n_seeds))
    seeds = pd.Series(np.repeat(np.arange(n_seeds), n_scored))
    result = corrected_share(values.astype(float), labelled=labelled, clusters=prompts, seeds=seeds)
    between = sensitivity - false_alarms
    value = (found - false_alarms) / between
    variance = (
        found * (1 - found) / n_scored
        + value**2 * sensitivity * (1 - sensitivity) / yes
        + (1 - value) ** 2 * false_alarms * (1 - false_alarms) / yes
    ) / between**2
    assert result.value == pytest.approx(value)
    assert (result.high - result.low) / 2 == pytest.approx(1.96 * math.sqrt(variance), rel=0.08)


def test_kappa_of_the_published_example_of_its_interval() -> None:
    # Fleiss, Cohen and Everitt (1969): two clinicians, three diagnoses, 200 patients; κ = .429, variance
    # .002885.
    counts = np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]])
    result = cohen_kappa(counts, answers=("one", "two", "three"))
    assert result.value == pytest.approx(0.429, abs=5e-4)
    error = math.sqrt(0.002885)
    assert (result.low, result.high) == pytest.approx(
        (0.42857 - 1.96 * error, 0.42857 + 1.96 * error), abs=1e-3
    )
    assert (result.agreed, result.n, result.note) == (0.7, 200, "")


def test_kappa_says_why_a_number_is_missing() -> None:
    nothing = cohen_kappa(np.zeros((2, 2), dtype=int), answers=("kept", "rejected"))
    assert (nothing.n, nothing.note) == (0, "no row was decided by both")
    assert np.isnan([nothing.value, nothing.low, nothing.high, nothing.agreed]).all()
    one_answer = cohen_kappa(np.array([[0, 0], [0, 7]]), answers=("kept", "rejected"))
    assert (one_answer.agreed, one_answer.n) == (1.0, 7)
    assert "every row the answer 'rejected'" in one_answer.note
    assert math.isnan(one_answer.value)
    full = cohen_kappa(np.array([[5, 0], [0, 7]]), answers=("kept", "rejected"))
    assert (full.value, full.agreed, full.n) == (pytest.approx(1.0), 1.0, 12)
    assert math.isnan(full.low)
    assert math.isnan(full.high)
    assert "no width" in full.note


def test_kappa_from_margins_is_that_of_the_whole_table() -> None:
    counts = np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]])
    whole = cohen_kappa(counts, answers=("one", "two", "three"))
    result = kappa_from_margins(counts.sum(axis=1), counts.sum(axis=0), agreed=140)
    assert (result.value, result.agreed, result.n) == (pytest.approx(whole.value), 0.7, 200)
    # Cohen (1960): the root of p(1 - p)/n over 1 - chance, here .0324/.525.
    assert (result.high - result.low) / 2 / 1.96 == pytest.approx(
        math.sqrt(0.7 * 0.3 / 200) / 0.525, abs=1e-4
    )
    undefined = kappa_from_margins([9, 0], [9, 0], agreed=9)
    assert math.isnan(undefined.value)
    assert "chance alone would agree as well" in undefined.note
    near = kappa_from_margins([5, 5], [5, 5], agreed=9)  # few rows: the interval would end above 1
    assert (near.value, near.high) == (pytest.approx(0.8), 1.0)
    assert near.low < 0.8


@pytest.mark.parametrize(
    ("lines", "alpha", "n"),
    [
        (["0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"], 0.095, 10),
        (["a a b b d c c c e d d a", "b a b b b c c c e d d d"], 0.692, 12),
        (
            [
                "1 2 3 3 2 1 4 1 2 . . .",
                "1 2 3 3 2 2 4 1 2 5 . 3",
                ". 3 3 3 2 3 4 2 2 5 1 .",
                "1 2 3 3 2 4 4 1 2 5 1 .",
            ],
            0.743,
            11,
        ),
    ],
)
def test_alpha_of_the_published_examples(lines: list[str], alpha: float, n: int) -> None:
    # Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), A, B and C: two raters and two answers,
    # two raters and five answers, four raters with ratings missing (the last item has one rating and counts
    # nowhere).
    ratings = pd.DataFrame([line.split() for line in lines]).T.replace({".": None})
    result = krippendorff_alpha(ratings)
    assert result.value == pytest.approx(alpha, abs=5e-4)
    assert result.n == n
    assert result.low < result.value < result.high <= 1
    assert krippendorff_alpha(ratings) == result  # seeded


def test_alpha_interval_holds_what_many_samples_give() -> None:
    # Two raters who give the same one of three answers with probability 0.7 and else any by chance: α is 0.7,
    # and the spread of an estimate from 80 items is about √(0.8 · 0.2 / 80) / (2/3).
    rng, inside, widths = np.random.default_rng(1), 0, []
    for _ in range(60):
        first, chance = rng.integers(3, size=80), rng.integers(3, size=80)
        result = krippendorff_alpha(
            pd.DataFrame({"a": first, "b": np.where(rng.random(80) < 0.7, first, chance)})
        )
        inside += result.low < 0.7 < result.high
        assert result.note == ""
        widths.append(result.high - result.low)
    assert inside >= 52
    assert np.mean(widths) == pytest.approx(2 * 1.96 * math.sqrt(0.8 * 0.2 / 80) / (2 / 3), rel=0.1)


def test_alpha_where_it_or_its_interval_is_undefined() -> None:
    alike = krippendorff_alpha(pd.DataFrame({"a": ["x", "x", "y"], "b": ["x", "x", None]}))
    assert math.isnan(alike.value)
    assert (alike.agreed, alike.n) == (1.0, 2)
    assert "every rating is 'x'" in alike.note
    full = krippendorff_alpha(pd.DataFrame({"a": ["x", "y"] * 5, "b": ["x", "y"] * 5}))
    assert full.value == 1.0
    assert math.isnan(full.low)
    assert (full.agreed, full.n) == (1.0, 10)
    assert "no width" in full.note
    apart = krippendorff_alpha(pd.DataFrame({"a": ["x", None], "b": [None, "y"]}))
    assert np.isnan([apart.value, apart.low, apart.high, apart.agreed]).all()
    assert (apart.n, apart.note) == (0, "no item was rated by two")
    rare = krippendorff_alpha(pd.DataFrame({"a": ["x"] * 9 + ["y"], "b": ["x"] * 10}))
    assert "left out of the interval" in rare.note
