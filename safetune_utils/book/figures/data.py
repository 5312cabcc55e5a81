"""Figures about data: the shape of a set, and how many rows each step of a review leaves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from safetune_utils.book.figures.figure import Figure, make_figure, make_panels, shorten
from safetune_utils.book.figures.labels import MarkLabel, label_marks
from safetune_utils.book.figures.palette import SEQUENCE
from safetune_utils.data import Shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def funnel(steps: list[tuple[str, int]], *, name: str, caption: str) -> Figure:
    """How many rows are left after each step, first to last, one bar a step.

    Args:
        steps: each step's name, and the rows that are left after it.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
    """
    labels, counts = [label for label, _ in steps], [n for _, n in steps]

    def draw(axes: Axes) -> None:
        bars = axes.barh([shorten(label, to=60) for label in labels], counts, color=SEQUENCE[1].drawn)
        axes.bar_label(bars, padding=4)
        axes.invert_yaxis()
        axes.set_xlim(0, max(counts) * 1.25 or 1)
        axes.set_xlabel("rows")

    alt = (
        "Bar chart of the rows that are left after each step: "
        + ", ".join(f"{label} {n}" for label, n in steps)
        + "."
    )
    return make_figure(
        draw,
        name=name,
        caption=caption,
        alt=alt,
        data=pd.DataFrame(steps, columns=["step", "rows"]),
        height=0.5 * len(steps) + 1.0,
    )


def set_shape(shape: Shape, *, name: str, title: str) -> Figure:
    """A set in two panels: how long its requests and answers are, in words, and what they are about, in rows.

    Args:
        shape: from :func:`safetune_utils.data.corpus_shape` or a similar function; at most fourteen topics
            are drawn.
        name: the figure's name, also that of its CSV file.
        title: the set's name, for the caption and the alt text.
    """
    lengths = [
        (label, words)
        for label, words in (("requests", shape.prompt_words), ("answers", shape.answer_words))
        if words
    ]
    shown = list(shape.topics.items())[:14]
    longest = max(_quantile(words, 0.99) for _, words in lengths)
    width = max(1, math.ceil(longest / 24))
    edges = [width * k for k in range(math.ceil((longest + 1) / width) + 1)]

    def draw(axes: list[Axes]) -> None:
        labels = []
        for place, (label, words) in enumerate(lengths):
            look = SEQUENCE[place]
            # The few longest rows are counted in the last bin, so that they do not flatten the rest.
            at = [min(n, edges[-1] - 1) for n in words]
            heights, _, _ = axes[0].hist(
                at,
                bins=edges,
                weights=list(words.values()),
                histtype="step",
                color=look.drawn,
                linewidth=1.6,
                linestyle=look.line,
                label=label,
            )
            peak = int(np.argmax(heights))
            labels.append(MarkLabel(label, edges[peak] + width / 2, float(np.asarray(heights)[peak]), look))
        axes[0].set_xlabel("length in words")
        axes[0].set_ylabel("rows")
        label_marks(axes[0], labels)
        axes[1].barh(
            [shorten(topic.replace("_", " ")) for topic, _ in reversed(shown)],
            [n for _, n in reversed(shown)],
            color=SEQUENCE[1].drawn,
        )
        axes[1].set_xlabel("rows")
        axes[1].set_title(shape.topics_are.replace("_", " "))

    middle = "; ".join(
        f"{label}: half have at most {_quantile(words, 0.5)} words, the longest {max(words)}"
        for label, words in lengths
    )
    more = f" (and {len(shape.topics) - len(shown)} more)" if len(shape.topics) > len(shown) else ""
    alt = (
        f"Histogram of lengths and bar chart of the {shape.topics_are} of {title}. {middle}. "
        f"Rows by {shape.topics_are}: "
        + ", ".join(f"{t.replace('_', ' ')} {n}" for t, n in shown)
        + f"{more}."
    )
    numbers: list[tuple[str, int | str, int]] = []
    numbers += [("words of a request", k, v) for k, v in shape.prompt_words.items()]
    numbers += [("words of an answer", k, v) for k, v in shape.answer_words.items()]
    numbers += [(shape.topics_are, k, v) for k, v in shape.topics.items()]
    table = pd.DataFrame(numbers, columns=["what", "value", "rows"])
    return make_panels(
        draw,
        name=name,
        caption=f"{title}: lengths, and rows by {shape.topics_are}{more}.",
        alt=alt,
        data=table,
        height=max(3.2, 0.9 + 0.42 * len(shown)),
        panels=2,
    )


def _quantile(words: dict[int, int], share: float) -> int:
    """The length that this share of rows does not exceed."""
    left = share * sum(words.values())
    for length in sorted(words):
        left -= words[length]
        if left <= 0:
            break
    return length
