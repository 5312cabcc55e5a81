"""Figures about data: what is drawn where, and what the alt text says of it."""

from __future__ import annotations

import pytest
from drawn import frame, texts, words
from matplotlib.figure import Figure as Canvas

from safetune_utils.book import figures
from safetune_utils.book.figures.palette import INK
from safetune_utils.data import Shape


def test_a_funnel_has_a_bar_for_each_step_from_the_top(canvases: list[Canvas]) -> None:
    figure = figures.funnel([("asked", 9), ("kept", 4)], name="x", caption="c")
    assert figure.caption == "c"
    assert figure.alt == "Bar chart of the rows that are left after each step: asked 9, kept 4."
    axes = canvases[0].axes[0]
    assert [bar.get_width() for bar in axes.patches] == [9, 4]
    assert words(axes.get_yticklabels()) == ["asked", "kept"]
    assert words(axes.texts) == ["9", "4"]
    assert frame(axes) == ("rows", "", True, False)
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] > 9  # room for the number after the longest bar
    assert {text.get_color() for text in axes.texts} == {INK.light}


def test_the_shape_of_a_set_is_drawn_from_its_counts(canvases: list[Canvas]) -> None:
    shape = Shape(
        rows=4,
        distinct=4,
        prompt_words={3: 1, 5: 3},
        answer_words={40: 4},
        topics={"the_sea": 3, "air": 1},
        topics_are="topic",
    )
    figure = figures.set_shape(shape, name="x", title="A set")
    assert "requests: half have at most 5 words, the longest 5; answers: half have at most 40" in figure.alt
    assert "Rows by topic: the sea 3, air 1." in figure.alt
    assert figure.csv.splitlines()[1:] == [
        "words of a request,3,1",
        "words of a request,5,3",
        "words of an answer,40,4",
        "topic,the_sea,3",
        "topic,air,1",
    ]
    lengths, topics = (canvas.axes[0] for canvas in canvases)
    # In bins of two words: a request of 3 and three of 5, four answers of 40.
    heights = {
        patch.get_label(): {tuple(corner) for corner in patch.get_xy().tolist() if corner[1]}
        for patch in lengths.patches
    }
    assert heights["requests"] == {(2, 1), (4, 1), (4, 3), (6, 3)}
    assert heights["answers"] == {(40, 4), (42, 4)}
    assert lengths.get_xlim()[1] < 46  # no empty bins after the longest
    bars = {
        label.get_text(): bar.get_width()
        for label, bar in zip(topics.get_yticklabels(), topics.patches, strict=True)
    }
    assert bars == {"the sea": 3, "air": 1}
    assert [bar.get_y() for bar in topics.patches] == pytest.approx([-0.4, 0.6])
    assert frame(lengths) == ("length in words", "rows", True, True)
    assert texts(lengths) == {(5, 3): "requests", (41, 4): "answers"}  # over the highest bin of each
    assert frame(topics) == ("rows", "", True, True)
    assert topics.get_title() == "topic"
