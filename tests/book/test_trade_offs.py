"""Trade-offs as a table, as advice and as counts."""

from __future__ import annotations

import math

import pytest
from estimates import MISSING, change
from html_tables import csv_of

from safetune_utils.book import trade_offs
from safetune_utils.statistics import Estimate, TradeOff

RISES = change(0.456, 0.36, 0.54, 0.001, n=98)
FALLS = change(-0.1, -0.2, -0.05, 0.01, n=98)
UNCLEAR = change(-0.004, -0.1, 0.1, 0.7, n=98)
FOUND = {
    ("topics", "random"): TradeOff(RISES, FALLS, 0.0004, 0.0314),
    ("guard <b>", "none"): TradeOff(UNCLEAR, MISSING, 1.0, math.nan),
}


def test_the_table_holds_both_changes_in_points_with_interval_p_value_and_verdict() -> None:
    page = trade_offs.trade_off_table(FOUND, wanted="malicious", unwanted="look-alikes").data
    head, *lines = csv_of(page)
    assert head == [
        "variant",
        "against",
        "malicious (wanted)",
        "p",
        "look-alikes (unwanted)",
        "p ",
        "verdict",
    ]
    assert lines == [
        ["topics", "random", "+46 (+36 to +54)", "below 0.001", "-10 (-20 to -5)", "0.031", "better"],
        ["guard <b>", "none", "-0 (-10 to +10)", "1.000", "not measured", "", "no difference seen"],
    ]
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("wanted", "unwanted", "words"),
    [
        (RISES, UNCLEAR, "better by this rule"),
        (FALLS, UNCLEAR, "worse by this rule"),
        (RISES, RISES, "a trade: more wanted refusals and more unwanted ones"),
        (FALLS, FALLS, "a trade: fewer refusals"),
        (UNCLEAR, UNCLEAR, "no reason to prefer it"),
    ],
)
def test_advice_follows_the_verdict(wanted: Estimate, unwanted: Estimate, words: str) -> None:
    found = {("topics", "random"): TradeOff(wanted, unwanted, 0.01, 0.01)}
    assert trade_offs.advice(found, ("topics", "random")).startswith(words)


def test_a_pair_that_was_not_compared_says_so() -> None:
    assert trade_offs.advice(FOUND, ("random", "topics")) == "not run on this data"
    assert trade_offs.changes(FOUND, ("random", "topics")) == ("was not measured", "was not measured")


def test_the_changes_of_a_pair_are_the_wanted_one_first() -> None:
    wanted, unwanted = trade_offs.changes(FOUND, ("topics", "random"))
    assert (wanted, unwanted) == (RISES, FALLS)


def test_the_noise_is_counted_among_the_changes_that_were_measured() -> None:
    assert trade_offs.noise(FOUND) == {
        "n_compared": 3,
        "n_noise": 1,
        "mostly_noise": "not most of them",
        "half_width": "9 points",  # half of 0.18, the middle one of 0.15, 0.18 and 0.2
    }


@pytest.mark.parametrize(
    ("p_values", "words"),
    [
        ((0.9, 0.9, 0.9, 0.01), "most of them"),
        ((0.9, 0.9, 0.01, 0.01), "not most of them"),  # a half is not most
        ((0.9, 0.9, 0.9, 0.9), "all of them"),
    ],
)
def test_how_much_is_noise_in_words_goes_by_the_corrected_p_values(
    p_values: tuple[float, ...], words: str
) -> None:
    found = {("a", "random"): TradeOff(RISES, RISES, *p_values[:2])}
    found |= {("b", "random"): TradeOff(RISES, RISES, *p_values[2:])}
    assert trade_offs.noise(found)["mostly_noise"] == words


def test_without_an_interval_of_some_width_its_reach_is_unknown() -> None:
    found = {("a", "random"): TradeOff(MISSING, change(0.5, math.nan, math.nan, 1.0, n=1), math.nan, 1.0)}
    assert trade_offs.noise(found) == {
        "n_compared": 1,
        "n_noise": 1,
        "mostly_noise": "all of them",
        "half_width": "unknown",
    }
