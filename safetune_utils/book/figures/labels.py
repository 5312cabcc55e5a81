"""Names of series where they are drawn: beside the end of a line, or over a mark. No figure has a legend."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from safetune_utils.book.figures.figure import TEXT
from safetune_utils.book.figures.palette import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import ScaledTranslation

# Points that a line of text is high, and that a letter is wide on average, both with some room to spare.
_LINE, _LETTER = 1.25 * TEXT, 0.6 * TEXT
# Points that are left free at either side of a panel.
_EDGE = 4.0


class EndLabel(NamedTuple):
    """The name of a series, to stand beside the end of its line.

    Attributes:
        height: of that end, in the unit of the vertical axis.
        hollow: whether its marker is.
    """

    text: str
    height: float
    look: Look
    hollow: bool = False


class MarkLabel(NamedTuple):
    """The name of a series, to stand over the mark at ``x`` and ``y``, in the units of the axes."""

    text: str
    x: float
    y: float
    look: Look


def label_ends(axes: Axes, labels: Sequence[EndLabel], *, lines: bool = True) -> None:
    """Name each series to the right of the axes, at the height of its end where there is room.

    The axes have their limits.

    Args:
        lines: whether the series are lines, which then lead on to their names.
    """
    low, high = axes.get_ylim()
    inside = _extent(axes).height
    wanted = sorted(
        (label for label in labels if not math.isnan(label.height)), key=lambda one: one.height, reverse=True
    )
    texts = [_lines(label.text, 13) for label in wanted]
    # Shares of the axes' height from the top down, as the names stand.
    ends = [(high - label.height) / (high - low) for label in wanted]
    places = apart(ends, [len(text) * _LINE / inside for text in texts], low=-0.05, high=1.0)
    for label, text, end, place in zip(wanted, texts, ends, places, strict=True):
        axes.plot(
            [1.01, 1.06],
            [1 - end, 1 - place],
            transform=axes.transAxes,
            clip_on=False,
            marker=label.look.marker,
            markevery=[1],
            markersize=5.5,
            linestyle=label.look.line if lines else "none",
            linewidth=1.2,
            color=label.look.drawn,
            markerfacecolor="none" if label.hollow else label.look.drawn,
            gid="key",
        )
        axes.text(
            1.1,
            1 - place,
            "\n".join(text),
            transform=axes.transAxes,
            va="center",
            color=label.look.written,
            linespacing=1.05,
        )


def label_marks(axes: Axes, labels: Sequence[MarkLabel]) -> None:
    """Name each series above the axes, as near to one of its marks as there is room; a thin line leads from
    the name to the mark.

    The axes have their limits.
    """
    wanted = sorted(labels, key=lambda one: one.x)
    panel = cast("Figure", axes.figure).get_figwidth() * 72
    extent = _extent(axes)
    marks = [extent.left + extent.width * _share(axes, label) for label in wanted]
    for most in range(40, 0, -1):  # letters in a line: as many as leave room for all beside each other
        texts = [_lines(label.text, most) for label in wanted]
        rooms = [(max(map(len, text)) + 1) * _LETTER for text in texts]
        if sum(rooms) <= panel - 2 * _EDGE:
            break
    middles = apart(marks, rooms, low=_EDGE, high=panel - _EDGE)
    over = axes.transAxes + _moved(axes, 0, 5)
    for label, text, mark, middle, room in zip(wanted, texts, marks, middles, rooms, strict=True):
        # From where the name is nearest to its mark.
        nearest = min(max((mark - middle) / room + 0.5, 0.15), 0.85)
        axes.annotate(
            "\n".join(text),
            (label.x, label.y),
            xytext=((middle - extent.left) / extent.width, 1),
            textcoords=over,
            ha="center",
            va="bottom",
            color=label.look.written,
            linespacing=1.05,
            arrowprops={
                "arrowstyle": "-",
                "color": label.look.drawn,
                "linewidth": 0.8,
                "relpos": (nearest, 0),
                "shrinkA": 0,
                "shrinkB": 4,
            },
        )


def label_points(axes: Axes, labels: Sequence[MarkLabel], *, ends: Sequence[float]) -> None:
    """Name each mark to its right, at its height where there is room.

    The axes have their limits.

    Args:
        labels: in the order of growing ``y``.
        ends: where the interval of each ends on the right, beyond which its name stands.
    """
    low, high = axes.get_ylim()
    room = _LINE / _extent(axes).height * (high - low)
    heights = apart([label.y for label in labels], [room] * len(labels), low=low, high=high)
    beside = axes.transData + _moved(axes, 4, 0)
    for label, end, height in zip(labels, ends, heights, strict=True):
        axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(end, height),
            textcoords=beside,
            va="center",
            color=label.look.written,
        )


def _moved(axes: Axes, right: float, up: float) -> ScaledTranslation:
    """So many points to the right and up."""
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(right / 72, up / 72, axes.figure.dpi_scale_trans)


def apart(wanted: Sequence[float], rooms: Sequence[float], *, low: float, high: float) -> list[float]:
    """Where names stand so that none covers another, each as near as can be to where it is wanted.

    Args:
        wanted: the middles that are wanted, in growing order.
        rooms: how much of the direction each name takes, in the same unit.
        low, high: between which all of them have to be.

    Returns:
        Their middles, in the same order.
    """
    before = [sum(rooms[:place]) + room / 2 for place, room in enumerate(rooms)]
    # Less what those before it take, a place must only be no lower than the last: neighbours that would be
    # share their mean (isotonic regression).
    groups: list[list[float]] = []
    for middle, taken in zip(wanted, before, strict=True):
        groups.append([middle - taken])
        while len(groups) > 1 and _mean(groups[-2]) > _mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    starts = [_mean(group) for group in groups for _ in group]
    most = high - sum(rooms)
    return [min(max(start, low), most) + taken for start, taken in zip(starts, before, strict=True)]


class _Extent(NamedTuple):
    """Where axes lie on their panel, in points."""

    left: float
    width: float
    height: float


def _extent(axes: Axes) -> _Extent:
    figure = cast("Figure", axes.figure)
    figure.draw_without_rendering()  # which lays it out
    box = axes.get_position()
    width, height = figure.get_figwidth() * 72, figure.get_figheight() * 72
    return _Extent(box.x0 * width, box.width * width, box.height * height)


def _share(axes: Axes, label: MarkLabel) -> float:
    """How far across the axes a mark is, from 0 to 1."""
    low, high = axes.get_xlim()
    return (label.x - low) / (high - low)


def _lines(text: str, most: int) -> list[str]:
    return textwrap.wrap(text, most, break_on_hyphens=False) or [text]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
