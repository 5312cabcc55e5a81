"""What a figure has drawn, read back from its axes."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.text import Annotation, Text

Pairs = list[tuple[float, float]]


def _series(axes: Axes) -> list[ErrorbarContainer]:
    return [one for one in axes.containers if isinstance(one, ErrorbarContainer)]


def marks(axes: Axes) -> dict[str, Pairs]:
    """Where the marks with intervals stand, ``(x, y)``, by the label of their series."""
    return {
        str(one.get_label()): [(float(x), float(y)) for x, y in zip(*one.lines[0].get_data(), strict=True)]
        for one in _series(axes)
    }


def intervals(axes: Axes, *, direction: int = 0) -> dict[str, Pairs]:
    """From where to where each interval goes, by the label of its series.

    Args:
        direction: 0 for the first or only direction that has intervals, 1 for the second; matplotlib draws
            the horizontal ones first.
    """
    found = {}
    for one in _series(axes):
        # Where there is no number there is no segment.
        ends = [segment.tolist() for segment in one.lines[2][direction].get_segments() if len(segment)]
        across = all(low[1] == high[1] for low, high in ends)
        along = 0 if across else 1
        found[str(one.get_label())] = [(low[along], high[along]) for low, high in ends]
    return found


def keys(axes: Axes) -> list[str]:
    """The names beside the ends of lines, from the top."""
    beside = [text for text in axes.texts if text.get_transform() == axes.transAxes]
    return [
        text.get_text().replace("\n", " ")
        for text in sorted(beside, key=lambda text: text.get_position()[1], reverse=True)
    ]


def frame(axes: Axes) -> tuple[str, str, bool, bool]:
    """What the axes are called, across and up, and whether each grows as one expects, to the right and up."""
    right, up = (low < high for low, high in (axes.get_xlim(), axes.get_ylim()))
    return axes.get_xlabel(), axes.get_ylabel(), right, up


def colours(axes: Axes) -> list[str]:
    """The colour of each series with intervals, in the order in which they were drawn."""
    return [to_hex(one.lines[0].get_color()) for one in _series(axes)]


def markers(axes: Axes) -> list[str]:
    """The marker of each series with intervals, likewise."""
    return [str(one.lines[0].get_marker()) for one in _series(axes)]


def texts(axes: Axes) -> dict[tuple[float, float], str]:
    """The texts inside the axes, by what they stand at."""
    found = {}
    for text in axes.texts:
        if text.get_transform() == axes.transAxes:  # the name of a line
            continue
        x, y = text.xy if isinstance(text, Annotation) else text.get_position()
        found[round(float(x), 6), round(float(y), 6)] = text.get_text()
    return found


def words(ticks: Iterable[Text]) -> list[str]:
    return [tick.get_text() for tick in ticks]
