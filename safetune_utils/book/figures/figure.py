"""What every figure consists of: a drawing a panel, its alt text, its caption and its CSV."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from safetune_utils.book.figures.palette import GRID, INK, SEQUENCE, style
from safetune_utils.book.figures.svg import part_of_page
from safetune_utils.book.markup import render
from safetune_utils.data.outputs import as_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.typing import RcKeyType  # of matplotlib 3.11

# Inches, and points of every label. A panel is drawn as wide as a phone, where a point is then about a pixel.
WIDTH = 4.55
TEXT = 12.0


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawn figure: an SVG a panel, the alt text, the caption, and the numbers it was drawn from."""

    name: str
    caption: str
    alt: str
    drawings: tuple[str, ...]
    csv: str

    def _repr_html_(self) -> str:
        return render(
            "figure",
            name=self.name,
            alt=self.alt,
            style=Markup(style()),
            drawings=[Markup(drawing) for drawing in self.drawings],
            caption=self.caption,
            csv=self.csv,
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

    A measure in per cent goes from 0 to 100; another has a scale of its own.

    Args:
        table: columns ``measure`` (its name with its unit, such as ``refuse (%)``), ``x``, ``value``,
            ``low``, ``high``, in the order to show.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
        x: the column with the amount.
    """
    measures = list(dict.fromkeys(table["measure"]))
    look = SEQUENCE[0]

    def draw(axes: list[Axes]) -> None:
        for axis, measure in zip(axes, measures, strict=True):
            rows = table[table["measure"] == measure].sort_values(x)
            bars = [(rows["value"] - rows["low"]).clip(lower=0), (rows["high"] - rows["value"]).clip(lower=0)]
            axis.errorbar(
                rows[x],
                rows["value"],
                yerr=bars,
                color=look.drawn,
                marker=look.marker,
                capsize=2,
                linewidth=1.6,
                elinewidth=1,
            )
            set_ticks(axis, sorted(rows[x]))
            if "(%)" in measure:
                axis.set_ylim(-3, 103)
            axis.set_xlabel("safety examples")
            axis.set_title("\n".join(textwrap.wrap(measure, 40)), fontsize=TEXT)

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
        draw, name=name, caption=caption, alt=alt, data=table, height=2.9, panels=len(measures)
    )


def records(table: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table, each with its columns as attributes.

    For pandas' types a cell may be anything; the docstring of a figure says what its columns hold.
    """
    return iter(table.itertuples())


def shorten(text: str, *, to: int = 30) -> str:
    """A text of at most so many characters, in lines of at most 18, so that a label leaves room for the
    drawing.
    """
    text = text if len(text) <= to else f"{text[: to - 2]}…"
    return "\n".join(textwrap.wrap(text, 18)) or text


def make_figure(
    draw: Callable[[Axes], None],
    *,
    name: str,
    caption: str,
    alt: str,
    data: pd.DataFrame,
    height: float,
) -> Figure:
    """Draw a figure of one panel; the arguments are those of :func:`make_panels`."""
    return make_panels(
        lambda axes: draw(axes[0]),
        name=name,
        caption=caption,
        alt=alt,
        data=data,
        height=height,
        panels=1,
    )


def make_panels(
    draw: Callable[[list[Axes]], None],
    *,
    name: str,
    caption: str,
    alt: str,
    data: pd.DataFrame,
    height: float,
    panels: int,
) -> Figure:
    """Draw a figure of several panels, which stand side by side where the page has room and else below each
    other.

    Args:
        draw: draws on the panels' axes, in their order, with the colours of
            :mod:`safetune_utils.book.figures.palette` and no others.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
        alt: the alt text.
        data: the numbers that it was drawn from.
        height: of a panel, in inches.
        panels: how many panels there are.
    """
    style: dict[RcKeyType, Any] = {
        "text.color": INK.light,
        "axes.labelcolor": INK.light,
        "xtick.color": INK.light,
        "ytick.color": INK.light,
        "axes.edgecolor": GRID.light,
        "grid.color": GRID.light,
        "axes.grid": True,
        "grid.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "font.size": TEXT,
        "axes.labelsize": TEXT,
        "axes.titlesize": TEXT,
        "xtick.labelsize": TEXT,
        "ytick.labelsize": TEXT,
        "figure.constrained_layout.use": True,
        "text.parse_math": False,  # a label is shown as it is
        "svg.fonttype": "none",
        "svg.hashsalt": "safetune",
    }
    import matplotlib as mpl  # here, for a chapter is stated without it, and it takes a second
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context(style):
        canvases = [Canvas(figsize=(WIDTH, height)) for _ in range(panels)]
        draw([canvas.subplots() for canvas in canvases])
        drawings = [
            part_of_page(_written(canvas), name=f"{name}-{number}") for number, canvas in enumerate(canvases)
        ]
    return Figure(name=name, caption=caption, alt=alt, drawings=tuple(drawings), csv=as_csv(data))


def _written(canvas: Canvas) -> str:
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def set_ticks(axes: Axes, amounts: Sequence[Any]) -> None:
    """Ticks at the amounts across, named where a name has room beside the one before."""
    names: list[str] = []
    reach, last = (amounts[-1] - amounts[0]) or 1, None
    for number, amount in enumerate(amounts):
        ends = number in (0, len(amounts) - 1)
        near = last is not None and (amount - last) / reach < 0.14
        room_after = ends or (amounts[-1] - amount) / reach >= 0.14
        names.append(f"{amount}" if ends or (not near and room_after) else "")
        last = amount if names[-1] else last
    axes.set_xticks(list(amounts), names)


def tint_square(axes: Axes, across: int, down: int, share: float) -> None:
    """Fill one square of a matrix: the higher the share (0 to 1), the darker."""
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    color = to_rgba(SEQUENCE[1].drawn, 0.06 + 0.4 * share)
    axes.add_patch(Rectangle((across, down), 1, 1, color=color, linewidth=0))


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
