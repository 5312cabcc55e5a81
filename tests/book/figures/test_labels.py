"""Names beside lines and over marks: where they belong, and none over another."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest
from drawn import keys, texts
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text

from safetune_utils.book.figures.figure import WIDTH, make_figure
from safetune_utils.book.figures.labels import (
    EndLabel,
    MarkLabel,
    apart,
    label_ends,
    label_marks,
    label_points,
)
from safetune_utils.book.figures.palette import SEQUENCE

ROWS = pd.DataFrame({"x": [1]})


def test_names_stand_beside_the_ends_of_their_lines_and_over_no_other(canvases: list[Canvas]) -> None:
    names = {
        "first": 100.0,
        "second one of two lines": 99.0,
        "third": 98.0,
        "last": 0.0,
        "none": float("nan"),
    }

    def draw(axes: Axes) -> None:
        axes.set_ylim(0, 100)
        ends = [EndLabel(name, height, SEQUENCE[0]) for name, height in names.items()]
        label_ends(axes, ends)

    make_figure(draw, name="x", caption="c", alt="a", data=ROWS, height=4.0)
    (canvas,) = canvases
    assert keys(canvas.axes[0]) == ["first", "second one of two lines", "third", "last"]
    boxes = [text.get_window_extent() for text in canvas.axes[0].texts]
    for above, below in pairwise(boxes):
        assert above.y0 >= below.y1 - 1
    assert all(box.y0 >= 0 for box in boxes)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([1.0, 5.0, 9.0], [1.0, 5.0, 9.0]),  # where they are wanted
        ([5.0, 5.0], [4.0, 6.0]),  # as far from it one as the other
        ([4.0, 5.0, 9.0], [3.5, 5.5, 9.0]),  # and those that are in nobody's way stay
        ([0.0, 0.5], [1.0, 3.0]),  # not beyond the ends
        ([9.0, 10.0], [7.0, 9.0]),
        ([], []),
    ],
)
def test_names_are_moved_no_farther_than_they_must_be(wanted: list[float], expected: list[float]) -> None:
    assert apart(wanted, [2.0] * len(wanted), low=0, high=10) == pytest.approx(expected)


@pytest.mark.parametrize(
    "names",
    [
        {"0 safety examples": 0.0, "50": 1.0, "200": 100.0},
        {"controversial requests": 1.0, "opinions asked": 1.5},
        {"none": 99.0, "a hundred, none on the topics left out": 99.0, "a hundred, on all topics": 100.0},
        {f"a name of five words {n}": 50.0 for n in range(5)},
    ],
)
def test_names_over_marks_stand_beside_each_other_on_the_panel(
    names: dict[str, float], canvases: list[Canvas]
) -> None:
    def draw(axes: Axes) -> None:
        axes.set_xlim(-3, 103)
        axes.set_ylim(0, 9)
        axes.set_yticks([8], ["a kind of prompt"])
        label_marks(axes, [MarkLabel(name, x, 8, SEQUENCE[0]) for name, x in names.items()])

    make_figure(draw, name="x", caption="c", alt="a", data=ROWS, height=3.0)
    (canvas,) = canvases
    found = [Text.get_window_extent(text) for text in canvas.axes[0].texts]  # without the line to the mark
    assert [text.get_text().replace("\n", " ") for text in canvas.axes[0].texts] == list(names)
    for left, right in pairwise(found):
        assert left.x1 <= right.x0
    assert found[0].x0 >= 0
    assert found[-1].x1 <= WIDTH * canvas.dpi


def test_names_beside_marks_that_lie_close_are_moved_apart(canvases: list[Canvas]) -> None:
    def draw(axes: Axes) -> None:
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        marks = [MarkLabel(f"{n}", 1, y, SEQUENCE[0]) for n, y in ((0, 2), (25, 4), (50, 40))]
        label_points(axes, marks, ends=[5, 6, 7])

    make_figure(draw, name="x", caption="c", alt="a", data=ROWS, height=4.0)
    (axes,) = canvases[0].axes
    assert texts(axes) == {(1, 2): "0", (1, 4): "25", (1, 40): "50"}
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    for below, above in pairwise(boxes):
        assert above.y0 >= below.y1
