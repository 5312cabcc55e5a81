"""Figures of wanted refusals against unwanted ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from safetune_utils.book.figures.figure import Figure, error_bars, make_figure, percent, records
from safetune_utils.book.figures.labels import EndLabel, MarkLabel, label_ends, label_points
from safetune_utils.book.figures.palette import INK, SEQUENCE
from safetune_utils.data import set_entry

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def trade_off(curve: pd.DataFrame, *, wanted: str, unwanted: str, name: str, caption: str) -> Figure:
    """Refusals that are wanted against refusals that are not, one point an amount; the upper left corner is
    best.

    Args:
        curve: from :func:`safetune_utils.statistics.shares.summarise` by ``prompt_set`` and ``n_safety``.
        wanted, unwanted: the prompt sets on the vertical and on the horizontal axis.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
    """
    points = _points(curve, by="n_safety", wanted=wanted, unwanted=unwanted).sort_index().reset_index()

    def draw(axes: Axes) -> None:
        color = SEQUENCE[0].drawn
        x, y = points["unwanted_share"] * 100, points["wanted_share"] * 100
        axes.errorbar(
            x,
            y,
            xerr=error_bars(points, "unwanted_"),
            yerr=error_bars(points, "wanted_"),
            color=color,
            marker="o",
            capsize=2,
            linewidth=1.4,
            elinewidth=0.8,
        )
        _draw_diagonal(axes)
        _set_axes(axes, wanted=wanted, unwanted=unwanted)
        known = points.dropna(subset=["wanted_share", "unwanted_share"]).sort_values("wanted_share")
        label_points(
            axes,
            [
                MarkLabel(f"{r.n_safety}", r.unwanted_share * 100, r.wanted_share * 100, SEQUENCE[0])
                for r in records(known)
            ],
            ends=list(known["unwanted_high"] * 100),
        )

    lines = [
        f"with {r.n_safety} safety examples {percent(r.wanted_share)} wanted "
        f"and {percent(r.unwanted_share)} unwanted refusals"
        for r in records(points)
    ]
    alt = _alt(lines, wanted=wanted, unwanted=unwanted)
    return make_figure(draw, name=name, caption=caption, alt=alt, data=points, height=4.3)


def frontier(curve: pd.DataFrame, *, wanted: str, unwanted: str, name: str, caption: str) -> Figure:
    """Refusals that are wanted against refusals that are not, one point a variant with both intervals; the
    upper left corner is best.

    Args:
        curve: from :func:`safetune_utils.statistics.shares.summarise` by ``prompt_set`` and ``variant``,
            whose names are shown in the order of its rows.
        wanted, unwanted: the prompt sets on the vertical and on the horizontal axis.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
    """
    points = _points(curve, by="variant", wanted=wanted, unwanted=unwanted)
    points = points.reindex(list(dict.fromkeys(curve["variant"]))).reset_index()

    def draw(axes: Axes) -> None:
        _draw_diagonal(axes)
        ends = []
        for place in range(len(points)):
            row = points.iloc[[place]]
            look = SEQUENCE[place % len(SEQUENCE)]
            axes.errorbar(
                row["unwanted_share"] * 100,
                row["wanted_share"] * 100,
                xerr=error_bars(row, "unwanted_"),
                yerr=error_bars(row, "wanted_"),
                color=look.drawn,
                marker=look.marker,
                markersize=7,
                linestyle="none",
                capsize=2,
                elinewidth=0.8,
                label=row["variant"].item(),
                # Where the looks are used a second time, the marks are empty.
                markerfacecolor=look.drawn if place < len(SEQUENCE) else "none",
            )
            ends.append(
                EndLabel(
                    str(row["variant"].item()),
                    row["wanted_share"].item() * 100,
                    look,
                    hollow=place >= len(SEQUENCE),
                )
            )
        _set_axes(axes, wanted=wanted, unwanted=unwanted)
        label_ends(axes, ends, lines=False)

    lines = [
        f"{r.variant}, {percent(r.wanted_share)} wanted and {percent(r.unwanted_share)} unwanted refusals"
        for r in records(points)
    ]
    alt = _alt(lines, wanted=wanted, unwanted=unwanted)
    height = max(4.0, 1.3 + 0.36 * len(points))
    return make_figure(draw, name=name, caption=caption, alt=alt, data=points, height=height)


def _points(curve: pd.DataFrame, *, by: str, wanted: str, unwanted: str) -> pd.DataFrame:
    """The shares of both prompt sets side by side, the columns with ``wanted_`` or ``unwanted_`` before their
    names, one row a value of ``by``, which is the index.
    """
    up, right = (curve[curve["prompt_set"] == s].set_index(by) for s in (wanted, unwanted))
    return up.add_prefix("wanted_").join(right.add_prefix("unwanted_"))


def _draw_diagonal(axes: Axes) -> None:
    """The line on which as many refusals are unwanted as wanted."""
    axes.plot([0, 100], [0, 100], linestyle=":", linewidth=1.2, color=INK.light)


def _set_axes(axes: Axes, *, wanted: str, unwanted: str) -> None:
    axes.set_xlabel(f"{set_entry(unwanted).title}\nrefused (%): unwanted")
    axes.set_ylabel(f"{set_entry(wanted).title}\nrefused (%): wanted")
    axes.set_xlim(-3, 103)
    axes.set_ylim(-3, 103)


def _alt(lines: list[str], *, wanted: str, unwanted: str) -> str:
    return (
        f"Scatter plot of wanted refusals ({set_entry(wanted).title}) "
        f"against unwanted ones ({set_entry(unwanted).title}): " + "; ".join(lines) + "."
    )
