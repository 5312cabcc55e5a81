"""Every figure describes itself: alt text, caption, its numbers as CSV."""

from __future__ import annotations

import io
from collections.abc import Callable

import pandas as pd
import pytest
from drawn import colours, frame, intervals, markers, marks, words
from html_tables import parsed
from made_responses import made_responses
from matplotlib.figure import Figure as Canvas

from safetune_utils import statistics
from safetune_utils.book import figures
from safetune_utils.book.figures.figure import percent, set_ticks, shorten
from safetune_utils.book.figures.palette import SEQUENCE, look_of

SHARES = pd.DataFrame(
    [
        ("malicious", 0, 0.11, 0.05, 0.23),
        ("malicious", 100, 0.82, 0.71, 0.89),
        ("lookalikes_safe", 0, 0.02, 0.01, 0.09),
        ("lookalikes_safe", 100, 0.34, 0.22, 0.47),
    ],
    columns=["prompt_set", "n_safety", "share", "low", "high"],
)
SIDES = {"wanted": "malicious", "unwanted": "lookalikes_safe"}
# By the kind of figure: what draws it from the shares, and the direction in which they stand.
DRAWN: dict[str, tuple[Callable[..., figures.Figure], int]] = {
    "dose_response": (lambda table, **text: figures.dose_response(table, **text), 1),
    "by_kind": (lambda table, **text: figures.by_kind(table.assign(kind=table["prompt_set"]), **text), 0),
    "dumbbells": (lambda table, **text: figures.dumbbells(table.assign(measure="refuse"), **text), 0),
    "win_rates": (
        lambda table, **text: figures.win_rates(
            table.rename(columns={"share": "win_rate"}).assign(
                series=table["prompt_set"], label=table["n_safety"].astype(str)
            ),
            **text,
        ),
        0,
    ),
    "calibration": (
        lambda table, **text: figures.calibration(
            table.assign(said=[0.1, 0.3, 0.6, 0.9], n=9), x="said", y="found", **text
        ),
        1,
    ),
}


@pytest.fixture
def curve() -> pd.DataFrame:
    return statistics.summarise(made_responses(), by=["prompt_set", "n_safety"])


def test_a_figure_has_alt_text_and_csv_from_its_numbers(curve: pd.DataFrame) -> None:
    figure = figures.dose_response(curve, name="test", caption="A caption.")
    assert "malicious requests: 0 % at 0, 100 % at 50" in figure.alt
    assert len(figure.csv.splitlines()) == 1 + len(curve)
    page = parsed(figure._repr_html_())
    (image,) = page.select('.safetune-figure [role="img"]')
    assert image["aria-label"] == figure.alt
    assert len(image.find_all("svg")) == 1
    assert page.select_one("figcaption").get_text().startswith("A caption.")


def test_a_figure_is_drawn_the_same_twice(curve: pd.DataFrame) -> None:
    first, second = (figures.dose_response(curve, name="test", caption="A caption.") for _ in range(2))
    assert first == second


def test_panels_have_their_measure_as_title_and_go_to_100_where_it_is_in_per_cent(
    canvases: list[Canvas],
) -> None:
    table = pd.DataFrame(
        {
            "measure": ["loss (nats)", "loss (nats)", "right (%)"],
            "n_safety": [9, 0, 0],
            "value": [2.5, 2, 55],
            "low": [2.1, 1.5, 47],
            "high": [3, 2.2, 64],
        }
    )
    drawn = figures.panels(table, name="p", caption="c")
    assert "; right (%): 55 (47 to 64) at 0." in drawn.alt
    loss, right = (canvas.axes[0] for canvas in canvases)
    assert [axes.get_title() for axes in (loss, right)] == ["loss (nats)", "right (%)"]
    assert list(marks(loss).values()) == [[(0, 2.0), (9, 2.5)]]  # by growing amount
    assert list(marks(right).values()) == [[(0, 55.0)]]
    (bounds,) = intervals(loss).values()
    assert bounds == [pytest.approx((1.5, 2.2)), pytest.approx((2.1, 3.0))]
    assert words(loss.get_xticklabels()) == ["0", "9"]
    assert [frame(axes) for axes in (loss, right)] == [("safety examples", "", True, True)] * 2
    assert loss.get_ylim()[0] > 1
    assert right.get_ylim() == (-3, 103)
    one = figures.panels(table[:2], name="p", caption="c")
    assert "loss (nats): 2 (1.5 to 2.2) at 0, 2.5 (2.1 to 3) at 9" in one.alt


@pytest.mark.parametrize("kind", DRAWN)
def test_drawing_alt_text_and_csv_hold_the_same_numbers(kind: str, canvases: list[Canvas]) -> None:
    make, direction = DRAWN[kind]
    figure = make(SHARES, name="x", caption="c")
    numbers = pd.read_csv(io.StringIO(figure.csv)).rename(columns={"win_rate": "share"})
    expected = sorted(zip(*(numbers[name] * 100 for name in ("share", "low", "high")), strict=True))
    for canvas in canvases:
        (axes,) = canvas.axes
        drawn = sorted(
            (at[direction], *ends)
            for label, places in marks(axes).items()
            for at, ends in zip(places, intervals(axes)[label], strict=True)
        )
        assert drawn == [pytest.approx(row) for row in expected]
    for value in numbers["share"]:
        assert percent(value) in figure.alt


@pytest.mark.parametrize("kind", ["trade_off", "frontier"])
def test_a_figure_of_two_shares_holds_in_its_csv_and_alt_text_what_is_drawn(
    kind: str, canvases: list[Canvas]
) -> None:
    table = SHARES.assign(variant=SHARES["n_safety"].map({0: "none", 100: "more"}))
    figure = getattr(figures, kind)(table, **SIDES, name="x", caption="c")
    numbers = pd.read_csv(io.StringIO(figure.csv))
    axes = canvases[0].axes[0]
    points = sorted(zip(numbers["unwanted_share"] * 100, numbers["wanted_share"] * 100, strict=True))
    drawn = sorted(at for places in marks(axes).values() for at in places)
    assert drawn == [pytest.approx(point) for point in points]
    for direction, side in enumerate(("unwanted", "wanted")):
        drawn = sorted(ends for row in intervals(axes, direction=direction).values() for ends in row)
        ends = zip(numbers[f"{side}_low"] * 100, numbers[f"{side}_high"] * 100, strict=True)
        assert drawn == [pytest.approx(row) for row in sorted(ends)]
        assert all(percent(value) in figure.alt for value in numbers[f"{side}_share"])


def test_a_prompt_set_has_its_own_colour_and_mark(canvases: list[Canvas]) -> None:
    figures.dose_response(SHARES, name="x", caption="c")
    looks = [look_of(s, 0) for s in ("malicious", "lookalikes_safe")]
    assert colours(canvases[0].axes[0]) == [look.drawn for look in looks]
    assert markers(canvases[0].axes[0]) == [look.marker for look in looks]


@pytest.mark.parametrize("kind", ["by_kind", "frontier", "panels", "calibration", "trade_off"])
def test_other_series_take_the_colours_and_marks_in_their_order(kind: str, canvases: list[Canvas]) -> None:
    said = SHARES.iloc[:2].assign(said=0.5, n=9)
    drawings = {
        "by_kind": lambda: figures.by_kind(SHARES.assign(kind=SHARES["prompt_set"]), name="x", caption="c"),
        "frontier": lambda: figures.frontier(
            SHARES.assign(variant=SHARES["n_safety"]), **SIDES, name="x", caption="c"
        ),
        "panels": lambda: figures.panels(
            SHARES.iloc[:2].assign(measure="m", value=0.5, low=0.4, high=0.6), name="x", caption="c"
        ),
        "calibration": lambda: figures.calibration(said, name="x", caption="c", x="a", y="b"),
        "trade_off": lambda: figures.trade_off(SHARES, **SIDES, name="x", caption="c"),
    }
    drawings[kind]()
    axes = canvases[0].axes[0]
    looks = SEQUENCE[: len(colours(axes))]
    assert colours(axes) == [look.drawn for look in looks]
    assert markers(axes) == [look.marker for look in looks]


@pytest.mark.parametrize("kind", ["by_kind", "dumbbells", "calibration", "trade_off"])
def test_per_cent_go_from_none_to_all_whatever_was_measured(kind: str, canvases: list[Canvas]) -> None:
    few = SHARES.assign(share=0.02, low=0.01, high=0.03)
    drawings = {
        "by_kind": lambda: figures.by_kind(few.assign(kind=few["prompt_set"]), name="x", caption="c"),
        "dumbbells": lambda: figures.dumbbells(few.assign(measure="refuse"), name="x", caption="c"),
        "calibration": lambda: figures.calibration(
            few.assign(said=0.02, n=9), name="x", caption="c", x="a", y="b"
        ),
        "trade_off": lambda: figures.trade_off(few, **SIDES, name="x", caption="c"),
    }
    assert drawings[kind]().name == "x"
    axes = canvases[0].axes[0]
    of_shares = {"calibration": (axes.get_xlim(), axes.get_ylim()), "trade_off": (axes.get_ylim(),)}
    for low, high in of_shares.get(kind, (axes.get_xlim(),)):
        assert -6 < low < 0
        assert 100 < high < 106


def test_a_value_a_hair_outside_its_interval_is_drawn_and_no_error(canvases: list[Canvas]) -> None:
    hair = SHARES.iloc[:1].assign(measure="m", value=0.5, low=0.5 + 1e-16, high=0.5 - 1e-16)
    figures.panels(hair, name="x", caption="c")
    assert list(marks(canvases[0].axes[0]).values()) == [[(0, 0.5)]]


def test_a_long_name_is_cut_to_fit(canvases: list[Canvas]) -> None:
    assert [len(shorten("x" * n).replace("\n", "")) for n in (29, 30, 31, 60)] == [29, 30, 29, 29]
    assert shorten("a name of several words") == "a name of several\nwords"


def test_ticks_too_near_each_other_have_no_name() -> None:
    axes = Canvas().subplots()
    set_ticks(axes, [0, 25, 50, 100, 190, 200])
    assert words(axes.get_xticklabels()) == ["0", "", "50", "100", "", "200"]
