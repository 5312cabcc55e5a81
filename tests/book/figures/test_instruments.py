"""Figures about instruments: what is drawn where, and what the alt text says of it."""

from __future__ import annotations

import pandas as pd
import pytest
from drawn import colours, frame, intervals, keys, marks, texts, words
from matplotlib.figure import Figure as Canvas

from safetune_utils.book import figures
from safetune_utils.book.figures.palette import LOOKS, SEQUENCE


def test_win_rates_stand_with_their_intervals_below_the_name_of_their_series(canvases: list[Canvas]) -> None:
    table = pd.DataFrame(
        [
            {"label": "one", "series": "malicious", "win_rate": 0.9, "low": 0.8, "high": 0.95},
            {"label": "two", "series": "malicious", "win_rate": 0.8, "low": 0.7, "high": 0.85},
            {"label": "one", "series": "b", "win_rate": 0.3, "low": 0.25, "high": 0.36},
        ]
    )
    drawn = figures.win_rates(table, name="w", caption="c")
    assert "malicious, two: 80 % (70 % to 85 %); b, one: 30 % (25 % to 36 %)" in drawn.alt
    axes = canvases[0].axes[0]
    rows = dict(zip(axes.get_yticks(), words(axes.get_yticklabels()), strict=True))
    assert rows == {0: "malicious", 1: "one", 2: "two", 3: "b", 4: "one"}
    assert marks(axes) == {
        "malicious": [pytest.approx((90, 1)), pytest.approx((80, 2))],
        "b": [pytest.approx((30, 4))],
    }
    assert intervals(axes)["b"] == [pytest.approx((25, 36))]
    # A prompt set has the colour that it has everywhere.
    assert colours(axes) == [LOOKS["malicious"].drawn, SEQUENCE[1].drawn]
    named = {tick.get_text(): tick.get_color() for tick in axes.get_yticklabels()}
    assert [named["malicious"], named["b"]] == colours(axes)
    assert list(axes.lines[0].get_xdata()) == [50, 50]
    assert frame(axes) == ("win rate (%)", "", True, False)


def test_the_agreement_of_two_instruments_stands_where_row_and_column_meet(canvases: list[Canvas]) -> None:
    table = pd.DataFrame(
        {
            "first": ["rules", "rules", "model"],
            "second": ["model", "judge", "judge"],
            "kappa": [0.9, 0.4, float("nan")],
            "n": [50, 50, 0],
        }
    )
    drawn = figures.agreement_matrix(table, name="m", caption="c")
    assert "rules and model 0.90 on 50 rows" in drawn.alt
    axes = canvases[0].axes[0]
    assert texts(axes) == {(0.5, 1.5): "0.90", (0.5, 2.5): "0.40", (1.5, 2.5): "–"}
    assert words(axes.get_xticklabels()) == ["rules", "model"]
    assert words(axes.get_yticklabels()) == ["model", "judge"]
    assert list(axes.get_yticks()) == [1.5, 2.5]
    assert list(axes.get_xticks()) == [0.5, 1.5]
    assert frame(axes) == ("", "", True, False)
    figures.agreement_matrix(table[:2], name="m", caption="c")  # a pair that was not compared
    assert texts(canvases[1].axes[0])[1.5, 2.5] == "–"
    depth = {tuple(patch.get_xy()): patch.get_facecolor()[3] for patch in axes.patches}
    assert depth[0, 1] > depth[0, 2] > depth[1, 2]  # the better they agree, the deeper
    assert not any(line.get_visible() for line in (*axes.get_xgridlines(), *axes.get_ygridlines()))


def test_a_calibration_plot_lays_what_people_say_over_what_was_said(canvases: list[Canvas]) -> None:
    table = pd.DataFrame(
        {"said": [0.1, 0.8], "share": [0.2, 0.7], "low": [0.12, 0.6], "high": [0.33, 0.79], "n": [30, 40]}
    )
    drawn = figures.calibration(table, name="c", caption="c", x="said", y="found")
    assert "said 10 %, found 20 % of 30; said 80 %, found 70 % of 40" in drawn.alt
    axes = canvases[0].axes[0]
    assert list(marks(axes).values()) == [[pytest.approx((10, 20)), pytest.approx((80, 70))]]
    assert list(intervals(axes).values()) == [[pytest.approx((12, 33)), pytest.approx((60, 79))]]
    assert frame(axes) == ("said (%)", "found (%)", True, True)
    assert [list(values) for values in axes.lines[0].get_data()] == [[0, 100], [0, 100]]


def test_a_scatter_spreads_a_column_of_two_values_and_leaves_others_where_they_are(
    canvases: list[Canvas],
) -> None:
    rows = pd.DataFrame({"x": [0.0, 1.0, 1.0, None], "y": [0.5, 2.5, 3.5, 1.0], "n_safety": [0, 0, 9, 9]})
    drawn = figures.scatter(rows, x="x", y="y", series="n_safety", name="s", caption="c")
    assert "n_safety 0: mean x 0.50, mean y 1.50, 2 answers" in drawn.alt
    assert "0.0,0.5,0" in drawn.csv  # the CSV holds the values themselves
    axes = canvases[0].axes[0]
    across, up = zip(
        *(place for dots in axes.collections for place in dots.get_offsets().tolist()), strict=True
    )
    assert up == (0.5, 2.5, 3.5)
    assert across == pytest.approx([0, 1, 1], abs=0.12)
    assert not {0, 1} & set(across)
    # From the top, by the means up: 3.5, for a row that lacks x is left out, and 1.5.
    assert keys(axes) == ["9 n_safety", "0 n_safety"]
    figures.scatter(rows.assign(n_safety="few"), x="x", y="y", series="n_safety", name="s", caption="c")
    assert keys(canvases[1].axes[0]) == ["n_safety: few"]
    assert [len(dots.get_offsets()) for dots in axes.collections] == [2, 1]
    assert frame(axes) == ("x", "y", True, True)
