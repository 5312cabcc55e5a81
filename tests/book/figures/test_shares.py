"""Figures of shares: what is drawn where, and what the alt text says of it."""

from __future__ import annotations

import io
import math

import pandas as pd
import pytest
from drawn import frame, intervals, keys, marks, texts, words
from made_responses import made_matrix, made_responses
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Canvas

from safetune_utils import statistics
from safetune_utils.book import figures
from safetune_utils.book.figures.palette import SEQUENCE

TRADE_OFF_AXES = (
    "safe look-alikes\nrefused (%): unwanted",
    "malicious requests\nrefused (%): wanted",
)


@pytest.fixture
def curve() -> pd.DataFrame:
    """Shares, and bounds that no other number equals, of two prompt sets at two amounts."""
    return pd.DataFrame(
        [
            {"prompt_set": "malicious", "n_safety": 0, "share": 0.1, "low": 0.04, "high": 0.23},
            {"prompt_set": "malicious", "n_safety": 100, "share": 0.8, "low": 0.71, "high": 0.87},
            {"prompt_set": "lookalikes_safe", "n_safety": 0, "share": 0.02, "low": 0.01, "high": 0.09},
            {"prompt_set": "lookalikes_safe", "n_safety": 100, "share": 0.3, "low": 0.22, "high": 0.41},
        ]
    )


def test_the_main_figure_draws_each_share_with_its_interval_over_its_amount(
    curve: pd.DataFrame, canvases: list[Canvas]
) -> None:
    figures.dose_response(curve, name="x", caption="c.", n_other=300)
    for canvas in canvases:
        axes = canvas.axes[0]
        drawn, bounds = marks(axes), intervals(axes)
        assert list(drawn) == ["malicious requests", "safe look-alikes"]
        heights = {label: [y for _, y in points] for label, points in drawn.items()}
        assert heights["malicious requests"] == pytest.approx([10, 80])
        assert heights["safe look-alikes"] == pytest.approx([2, 30])
        assert bounds["malicious requests"] == [pytest.approx((4, 23)), pytest.approx((71, 87))]
        assert bounds["safe look-alikes"] == [pytest.approx((1, 9)), pytest.approx((22, 41))]
        for points in drawn.values():  # shifted a little sideways
            assert [x for x, _ in points] == pytest.approx([0, 100], abs=0.5)
        assert (list(axes.get_xticks()), words(axes.get_xticklabels())) == ([0, 100], ["0", "100"])
        assert frame(axes) == (
            "safety examples added",
            "answers that refuse (%)",
            True,
            True,
        )
        (above,) = axes.child_axes
        assert words(above.get_xticklabels()) == ["0", "25"]  # 100 of 400
        assert keys(axes) == ["malicious requests", "safe look-alikes"]


def test_several_seeds_are_a_band_and_one_seed_looks_as_before(canvases: list[Canvas]) -> None:
    rows = pd.concat([made_responses(), made_responses(seed=1, refused=True)], ignore_index=True)
    by_seed = statistics.summarise(rows, by=["prompt_set", "n_safety", "seed"])
    both = statistics.summarise(rows, by=["prompt_set", "n_safety"])
    drawn = figures.dose_response(both, name="x", caption="c.", by_seed=by_seed)
    (band,) = (one for one in canvases[0].axes[0].collections if isinstance(one, PolyCollection))
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert {(0, 0), (0, 100), (50, 100)} == corners  # at 0 the seeds refuse none and all, at 50 all
    assert drawn.drawings != figures.dose_response(both, name="x", caption="c.").drawings
    assert "Bands: from the lowest to the highest of 2 seeds" in drawn.caption
    assert "Lowest and highest seed: malicious requests: 0 % to 100 % at 0, 100 % to 100 % at 50" in drawn.alt
    assert len(drawn.csv.splitlines()) == 1 + len(both) + len(by_seed)
    curve = statistics.summarise(made_responses(), by=["prompt_set", "n_safety"])
    one = figures.dose_response(curve, name="x", caption="c.", by_seed=by_seed[by_seed["seed"] == 0])
    assert one == figures.dose_response(curve, name="x", caption="c.")


def test_kinds_stand_by_their_share_with_a_mark_for_each_amount(canvases: list[Canvas]) -> None:
    table = pd.DataFrame(
        {
            "kind": ["a_b", "c"] * 2,
            "n_safety": [0, 0, 9, 9],
            "share": [0.05, 0.1, 0.9, 0.5],
            "low": [0.01, 0.03, 0.42, 0.44],
            "high": [0.12, 0.2, 0.97, 0.61],
        }
    )
    drawn = figures.by_kind(table, name="k", caption="c")
    assert "a b 5 % at 0, 90 % at 9; c 10 % at 0, 50 % at 9" in drawn.alt
    axes = canvases[0].axes[0]
    assert words(axes.get_yticklabels()) == ["c", "a b"]  # from the bottom, by the share at 9
    assert frame(axes) == ("answers that refuse (%)", "", True, True)
    assert list(marks(axes)) == ["0", "9"]
    few, many = marks(axes).values()
    assert [x for x, _ in few] == pytest.approx([10, 5])
    assert [x for x, _ in many] == pytest.approx([50, 90])
    assert [y for _, y in few] == pytest.approx([-0.085, 0.915])
    assert [y for _, y in many] == pytest.approx([0.085, 1.085])
    assert intervals(axes)["9"] == [pytest.approx((44, 61)), pytest.approx((42, 97))]
    assert intervals(axes)["0"] == [pytest.approx((3, 20)), pytest.approx((1, 12))]
    # Each series is named over its mark of the highest kind.
    assert texts(axes) == {(5, 0.915): "0 safety examples", (90, 1.085): "9"}
    named = figures.by_kind(table, name="k", caption="c", names={9: "all topics", 0: "no topic"})
    assert "a b 90 % with all topics, 5 % with no topic" in named.alt
    assert set(texts(canvases[1].axes[0]).values()) == {"all topics", "no topic"}
    lost = table.assign(share=table["share"].where(table["share"] != 0.9), low=math.nan, high=math.nan)
    figures.by_kind(lost, name="k", caption="c")
    assert texts(canvases[2].axes[0])[50, 0.085] == "9"  # of the highest that is scored


def test_a_trade_off_has_the_wanted_share_up_and_the_unwanted_one_to_the_right(
    curve: pd.DataFrame, canvases: list[Canvas]
) -> None:
    drawn = figures.trade_off(curve, wanted="malicious", unwanted="lookalikes_safe", name="t", caption="c")
    assert "with 100 safety examples 80 % wanted and 30 % unwanted" in drawn.alt
    axes = canvases[0].axes[0]
    (points,) = marks(axes).values()
    assert points == [pytest.approx((2, 10)), pytest.approx((30, 80))]
    assert texts(axes) == {(2.0, 10.0): "0", (30.0, 80.0): "100"}
    (right,), (up,) = (intervals(axes, direction=n).values() for n in (0, 1))
    assert right == [pytest.approx((1, 9)), pytest.approx((22, 41))]
    assert up == [pytest.approx((4, 23)), pytest.approx((71, 87))]
    assert frame(axes) == (*TRADE_OFF_AXES, True, True)
    (diagonal,) = (line for line in axes.lines if line.get_linestyle() == ":")
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())


def test_a_frontier_has_a_point_for_each_variant_in_the_order_of_the_rows(
    curve: pd.DataFrame, canvases: list[Canvas]
) -> None:
    rows = curve.assign(variant=curve["n_safety"].map({100: "more", 0: "none"})).sort_values("variant")
    drawn = figures.frontier(rows, wanted="malicious", unwanted="lookalikes_safe", name="f", caption="c")
    assert "more, 80 % wanted and 30 % unwanted refusals; none, 10 % wanted and 2 % unwanted" in drawn.alt
    axes = canvases[0].axes[0]
    found = marks(axes)
    assert frame(axes) == (*TRADE_OFF_AXES, True, True)
    right, up = (intervals(axes, direction=n) for n in (0, 1))
    assert right["more"] == [pytest.approx((22, 41))]
    assert up["more"] == [pytest.approx((71, 87))]
    assert keys(axes) == ["more", "none"]
    assert list(found) == ["more", "none"]
    assert found["more"] == [pytest.approx((30, 80))]
    assert found["none"] == [pytest.approx((2, 10))]


def test_the_matrix_has_what_was_trained_on_down_and_what_was_asked_across(canvases: list[Canvas]) -> None:
    matrix = made_matrix()
    drawn = figures.transfer_matrix(matrix, name="transfer", caption="c")
    assert (
        "trained on questions: 50 % of malicious requests, 100 % of malicious questions; "
        "trained on none: 0 % of malicious requests, 20 %"
    ) in drawn.alt
    assert len(drawn.csv.splitlines()) == 5
    axes = canvases[0].axes[0]
    shares = {at: text for at, text in texts(axes).items() if text.endswith("%")}
    assert shares == {(0.5, 0.3): "50 %", (1.5, 0.3): "100 %", (0.5, 1.3): "0 %", (1.5, 1.3): "20 %"}
    assert words(axes.get_yticklabels()) == ["questions", "none"]
    assert words(axes.get_xticklabels()) == ["malicious\nrequests", "malicious\nquestions"]
    assert frame(axes) == ("asked", "safety examples in training", True, False)
    assert axes.get_ylim() == (2, 0)  # the first row is at the top
    assert axes.get_xlim() == (0, 2)
    assert {text.get_horizontalalignment() for text in axes.texts} == {"center"}
    below = {at: text for at, text in texts(axes).items() if "n =" in text}
    for (form, asked), at in {
        ("questions", "malicious"): (0.5, 0.68),
        ("none", "malicious_questions"): (1.5, 1.68),
    }.items():
        row = matrix.set_index(["trained", "prompt_set"]).loc[(form, asked)]
        assert below[at] == f"{row['low'] * 100:.0f}–{row['high'] * 100:.0f}\nn = {row['n_scored']}"
    depth = {tuple(patch.get_xy()): patch.get_facecolor()[3] for patch in axes.patches}
    assert depth[1, 0] > depth[0, 0] > depth[1, 1] > depth[0, 1]  # the more refuse, the deeper
    assert {to_hex(patch.get_facecolor()[:3]) for patch in axes.patches} == {SEQUENCE[1].drawn}


def test_the_matrix_says_what_was_not_scored(canvases: list[Canvas]) -> None:
    matrix = made_matrix()
    lost = matrix["trained"].eq("none") & matrix["prompt_set"].eq("malicious")
    drawn = figures.transfer_matrix(
        matrix.assign(n_scored=matrix["n_scored"].where(~lost, 0)), name="t", caption="c"
    )
    assert "trained on none: no scored malicious requests, 20 %" in drawn.alt
    assert (0.5, 1.3) not in texts(canvases[0].axes[0])


def test_dumbbells_join_the_prompt_sets_at_each_amount_and_say_what_was_not_scored(
    canvases: list[Canvas],
) -> None:
    rows = [
        {"measure": measure, "prompt_set": s, "n_safety": n, "share": share, "low": share / 2, "high": 1.0}
        for measure in ("refuse", "called harmful")
        for s, n, share in (
            ("controversial", 0, 0.1),
            ("opinions", 0, 0.4),
            ("controversial", 9, math.nan),
            ("opinions", 9, 0.5),
        )
    ]
    for measures in (1, 2):
        drawn = figures.dumbbells(pd.DataFrame(rows[: 4 * measures]), name="d", caption="c")
        assert "refuse, opinions asked: 40 % at 0, 50 % at 9" in drawn.alt
        assert "controversial requests: 10 % at 0, not scored at 9" in drawn.alt
        assert ("called harmful" in drawn.alt) == (measures == 2)
    assert len(canvases) == 1 + 2
    axes = canvases[0].axes[0]
    found = marks(axes)
    assert found["opinions asked"] == [pytest.approx((40, 0.11)), pytest.approx((50, 1.11))]
    assert found["controversial requests"][0] == pytest.approx((10, -0.11))
    assert math.isnan(found["controversial requests"][1][0])
    bars = [line for line in axes.lines if line.get_linewidth() == 2.5]  # one an amount
    assert list(bars[0].get_xdata()) == pytest.approx([10, 40])
    assert words(axes.get_yticklabels()) == ["0", "9"]
    assert axes.get_ylim() == (1.5, -0.5)
    assert frame(axes) == ("refuse (%)", "safety examples", True, False)
    assert canvases[2].axes[0].get_xlabel() == "called harmful (%)"
    assert intervals(axes)["opinions asked"] == [pytest.approx((20, 100)), pytest.approx((25, 100))]
    assert intervals(axes)["controversial requests"] == [pytest.approx((5, 100))]
    names = {at: text.replace("\n", " ") for at, text in texts(axes).items()}
    assert names == {(10, -0.11): "controversial requests", (40, 0.11): "opinions asked"}


def test_the_main_figure_marks_the_untuned_model_and_draws_what_words_alone_refuse(
    curve: pd.DataFrame, canvases: list[Canvas]
) -> None:
    untuned = pd.DataFrame([{"prompt_set": "malicious", "share": 0.08, "low": 0.04, "high": 0.15}])
    vocabulary = curve.assign(share=[0.0, 0.9, 0.0, 0.25])
    figure = figures.dose_response(curve, name="x", caption="c.", untuned=untuned, words=vocabulary)
    for canvas in canvases:
        axes = canvas.axes[0]
        assert words(axes.get_xticklabels()) == ["untuned", "0", "100"]
        (left, *_) = axes.get_xticks()
        assert left < 0
        hollow = [
            line
            for line in axes.lines
            if line.get_markerfacecolor() == "none" and len(line.get_xdata()) and line.get_gid() != "key"
        ]
        assert [line.get_xydata().tolist() for line in hollow] == [[[left, pytest.approx(8)]]]
        grey = [line for line in axes.lines if line.get_linewidth() == 0.9]
        assert [line.get_ydata().tolist() for line in grey] == [
            pytest.approx([0, 90]),
            pytest.approx([0, 25]),
        ]
        assert [line.get_marker() for line in grey] == ["o", "^"]  # those of the prompt sets
        # Their name stands where the highest of them ends.
        assert keys(axes) == ["bag of words", "malicious requests", "safe look-alikes"]
    assert "Untuned: malicious requests 8 %" in figure.alt
    assert "Bag of words: malicious requests 0 % at 0, 90 % at 100" in figure.alt
    numbers = pd.read_csv(io.StringIO(figure.csv))
    assert numbers["by"].value_counts().to_dict() == {"adapter": 4, "bag of words": 4, "untuned": 1}
