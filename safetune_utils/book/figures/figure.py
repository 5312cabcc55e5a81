"""What every figure consists of: one drawing in light and dark, its alt text, its caption and its CSV."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from safetune_utils.book.markup import render
from safetune_utils.data import set_entry
from safetune_utils.data.outputs import as_csv
from safetune_utils.data.prompt_sets import Look

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType  # of matplotlib 3.11

LIGHT, DARK = 0, 1
THEMES = ("light", "dark")


# The colours of text and of lines in the background, light and dark.
INK = ("#1f2328", "#e6edf3")
GRID = ("#d0d7de", "#3d444d")
# For series that have no look of their own; colour-blind safe like those of the prompt sets.
SEQUENCE = (
    Look("#0b5cad", "#79b8ff", "o"),
    Look("#b3400a", "#ff9d5c", "s"),
    Look("#0a6b58", "#4fd1b5", "^"),
    Look("#8b3a8f", "#e39be6", "D"),
    Look("#8a6d00", "#e3c341", "v"),
    Look("#57606a", "#adb5bd", "P"),
)


def look_of(prompt_set: str, place: int) -> Look:
    """How a prompt set is drawn: as its entry says, else by its place among the sets of the figure."""
    return set_entry(prompt_set).look or SEQUENCE[place % len(SEQUENCE)]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawn figure: two SVG images, the alt text, the caption, and the numbers it was drawn from."""

    name: str
    caption: str
    alt: str
    light: str
    dark: str
    csv: str

    def _repr_html_(self) -> str:
        images = dict(zip(THEMES, (self.light, self.dark), strict=True))
        return render(
            "figure", name=self.name, alt=self.alt, images=images, caption=self.caption, csv=self.csv
        )

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        # Name and numbers are in the metadata too: for the welcome page and for published runs.
        return {"text/html": self._repr_html_(), "text/plain": self.alt}, {
            "safetune": {"figure": self.name, "csv": self.csv}
        }


def panels(table: pd.DataFrame, *, name: str, caption: str, x: str = "n_safety") -> Figure:
    """Several measures against the amount of safety data, one panel each, with 95 % intervals.

    Each panel has a scale of its own.

    Args:
        table: columns ``measure`` (its name with its unit), ``x``, ``value``, ``low``, ``high``, in the order
            to show.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
        x: the column with the amount.
    """
    measures = list(dict.fromkeys(table["measure"]))

    def draw(axes: list[Axes], theme: int) -> None:
        for place, (axis, measure) in enumerate(zip(axes, measures, strict=True)):
            rows = table[table["measure"] == measure].sort_values(x)
            bars = [(rows["value"] - rows["low"]).clip(lower=0), (rows["high"] - rows["value"]).clip(lower=0)]
            look = SEQUENCE[place % len(SEQUENCE)]
            axis.errorbar(
                rows[x],
                rows["value"],
                yerr=bars,
                color=look[theme],
                marker=look.marker,
                capsize=2,
                linewidth=1.6,
                elinewidth=1,
            )
            axis.set_xticks(sorted(rows[x]), [f"{n}" for n in sorted(rows[x])], rotation=45)
            axis.set_xlabel("safety examples")
            axis.set_title(measure, fontsize=10.5)

    lines = [
        f"{measure}: "
        + ", ".join(
            f"{r.value:.3g} ({r.low:.3g} to {r.high:.3g}) at {getattr(r, x)}"
            for r in records(rows.sort_values(x))
        )
        for measure, rows in table.groupby("measure", sort=False)
    ]
    alt = "Line charts over the number of safety examples, with intervals. " + "; ".join(lines) + "."
    return make_panels(
        draw,
        name=name,
        caption=caption,
        alt=alt,
        data=table,
        size=(3.1 * len(measures) + 0.4, 3.2),
        panels=len(measures),
    )


def records(table: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table, each with its columns as attributes.

    For pandas' types a cell may be anything; the docstring of a figure says what its columns hold.
    """
    return iter(table.itertuples())


def shorten(text: str) -> str:
    """A text of at most 30 characters, so that a label leaves room for the drawing."""
    return text if len(text) <= 30 else f"{text[:28]}…"


def make_figure(
    draw: Callable[[Axes, int], None],
    *,
    name: str,
    caption: str,
    alt: str,
    data: pd.DataFrame,
    size: tuple[float, float],
) -> Figure:
    """Draw a figure of one panel; the arguments are those of :func:`make_panels`."""
    return make_panels(
        lambda axes, theme: draw(axes[0], theme),
        name=name,
        caption=caption,
        alt=alt,
        data=data,
        size=size,
        panels=1,
    )


def make_panels(
    draw: Callable[[list[Axes], int], None],
    *,
    name: str,
    caption: str,
    alt: str,
    data: pd.DataFrame,
    size: tuple[float, float],
    panels: int,
) -> Figure:
    """Draw a figure of several panels side by side, once in light and once in dark.

    Args:
        draw: draws on the panels' axes, from left to right, in the theme :data:`LIGHT` or :data:`DARK`.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
        alt: the alt text.
        data: the numbers that it was drawn from.
        size: width and height in inches.
        panels: how many panels there are.
    """
    return Figure(
        name=name,
        caption=caption,
        alt=alt,
        light=_image(draw, LIGHT, size, panels),
        dark=_image(draw, DARK, size, panels),
        csv=as_csv(data),
    )


def _image(
    draw: Callable[[list[Axes], int], None], theme: int, size: tuple[float, float], panels: int
) -> str:
    ink, grid = INK[theme], GRID[theme]
    style: dict[RcKeyType, Any] = {
        "text.color": ink,
        "axes.labelcolor": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "axes.edgecolor": grid,
        "grid.color": grid,
        "axes.grid": True,
        "grid.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "font.size": 10.5,
        "figure.constrained_layout.use": True,
        "text.parse_math": False,  # a label is shown as it is
        "svg.hashsalt": "safetune",
    }
    with mpl.rc_context(style):
        canvas = Canvas(figsize=size)
        draw(list(canvas.subplots(1, panels, squeeze=False)[0]), theme)
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def error_bars(rows: pd.DataFrame, prefix: str = "") -> list[pd.Series]:
    """Distances from a share to its bounds, in per cent, as matplotlib's ``xerr`` and ``yerr`` take them.

    Args:
        rows: columns ``share, low, high`` (0 to 1).
        prefix: what these columns' names begin with.
    """
    share, low, high = (rows[f"{prefix}{name}"] * 100 for name in ("share", "low", "high"))
    # Clipped: rounding can put a bound very slightly on the wrong side of the share.
    return [(share - low).clip(lower=0), (high - share).clip(lower=0)]


def percent(value: float) -> str:
    """A share, 0 to 1, in per cent; in words where it is nan."""
    return "not scored" if math.isnan(value) else f"{value:.0%}".replace("%", " %")
