"""Figures about instruments: how they agree, how well calibrated they are, win rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from safetune_utils.book.figures.figure import (
    Figure,
    error_bars,
    make_figure,
    percent,
    records,
    shorten,
    tint_square,
)
from safetune_utils.book.figures.labels import EndLabel, label_ends
from safetune_utils.book.figures.palette import INK, SEQUENCE, look_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def win_rates(table: pd.DataFrame, *, name: str, caption: str) -> Figure:
    """Win rates with their 95 % intervals, one row each; on the dotted line at one half neither side is
    preferred.

    Args:
        table: columns ``label`` and ``win_rate, low, high`` (0 to 1), in the order to show, and ``series``,
            which decides colour and marker; its name stands over its rows.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
    """
    groups = list(dict.fromkeys(table["series"]))
    looks = {group: look_of(group, place) for place, group in enumerate(groups)}
    rows = table.rename(columns={"win_rate": "share"}).reset_index(drop=True)
    # Where a series begins, its name takes a row.
    begins = rows["series"].ne(rows["series"].shift())
    heights = rows.index + begins.cumsum()

    def draw(axes: Axes) -> None:
        axes.axvline(50, linestyle=":", linewidth=1.2, color=INK.light)
        for group in groups:
            part = rows[rows["series"] == group]
            axes.errorbar(
                part["share"] * 100,
                heights[part.index],
                xerr=error_bars(part),
                color=looks[group].drawn,
                marker=looks[group].marker,
                linestyle="none",
                capsize=2,
                markersize=5,
                elinewidth=1,
                label=group,
            )
        heads, series = heights[begins] - 1, rows["series"][begins]
        names = [shorten(label, to=60) for label in rows["label"]] + [shorten(group) for group in series]
        axes.set_yticks([*heights, *heads], names)
        for tick, group in zip(axes.get_yticklabels()[len(rows) :], series, strict=True):
            tick.set(color=looks[group].written, fontweight="bold")
        axes.set_ylim(max(heights) + 0.6, -0.6)
        axes.set_xlim(-3, 103)
        axes.set_xlabel("win rate (%)")

    lines = [
        f"{row.series}, {row.label}: {percent(row.win_rate)} ({percent(row.low)} to {percent(row.high)})"
        for row in records(table)
    ]
    alt = "Dot chart of win rates; one half is even. " + "; ".join(lines) + "."
    return make_figure(
        draw,
        name=name,
        caption=caption,
        alt=alt,
        data=table,
        height=0.42 * (len(rows) + begins.sum()) + 0.9,
    )


def agreement_matrix(table: pd.DataFrame, *, name: str, caption: str) -> Figure:
    """How every instrument agrees with every other, as a square of numbers, each Cohen's kappa.

    1 is full agreement and 0 that of chance.

    Args:
        table: columns ``first, second, kappa, n``, one row a pair of instruments, in the order to show them.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
    """
    names = list(dict.fromkeys([*table["first"], *table["second"]]))
    values = {(row.first, row.second): row.kappa for row in records(table)}

    def draw(axes: Axes) -> None:
        for down, one in enumerate(names):
            for across, other in enumerate(names[:down]):
                value = values.get((one, other), values.get((other, one), math.nan))
                shown = 0.0 if math.isnan(value) else max(0.0, min(1.0, value))
                tint_square(axes, across, down, shown)
                axes.text(
                    across + 0.5,
                    down + 0.5,
                    "–" if math.isnan(value) else f"{value:.2f}",
                    ha="center",
                    va="center",
                )
        axes.set_xlim(0, len(names) - 1)
        axes.set_ylim(len(names), 1)
        axes.set_xticks([i + 0.5 for i in range(len(names) - 1)], names[:-1], rotation=60, ha="right")
        axes.set_yticks([i + 0.5 for i in range(1, len(names))], names[1:])
        axes.grid(visible=False)
        axes.tick_params(length=0)

    lines = [f"{row.first} and {row.second} {row.kappa:.2f} on {row.n} rows" for row in records(table)]
    alt = "Matrix of Cohen's kappa between pairs of instruments: " + "; ".join(lines) + "."
    return make_figure(
        draw,
        name=name,
        caption=caption,
        alt=alt,
        data=table,
        height=1.9 + 0.4 * len(names),
    )


def calibration(table: pd.DataFrame, *, name: str, caption: str, x: str, y: str) -> Figure:
    """What an instrument says against what people say of the same rows, in bins; on the dotted line it is
    right on average.

    Args:
        table: columns ``said`` (mean of the instrument in a bin, 0 to 1), ``share, low, high`` (people's yes,
            with interval) and ``n``.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
        x, y: the names of the axes.
    """

    def draw(axes: Axes) -> None:
        axes.plot([0, 100], [0, 100], linestyle=":", linewidth=1.2, color=INK.light)
        axes.errorbar(
            table["said"] * 100,
            table["share"] * 100,
            yerr=error_bars(table),
            color=SEQUENCE[0].drawn,
            marker="o",
            capsize=2,
            linewidth=1.4,
            elinewidth=0.9,
        )
        axes.set_xlabel(f"{x} (%)")
        axes.set_ylabel(f"{y} (%)")
        axes.set_xlim(-3, 103)
        axes.set_ylim(-3, 103)

    lines = [f"said {percent(row.said)}, found {percent(row.share)} of {row.n}" for row in records(table)]
    alt = f"Calibration plot, {y} against {x}: " + "; ".join(lines) + "."
    return make_figure(draw, name=name, caption=caption, alt=alt, data=table, height=4.2)


def scatter(rows: pd.DataFrame, *, x: str, y: str, series: str, name: str, caption: str) -> Figure:
    """Two instruments on the same answers, one mark an answer, a colour and marker for each value of
    ``series``, whose name stands beside it at the height of the mean.

    Args:
        rows: one row an answer, with the columns ``x``, ``y`` and ``series``; rows that lack one are left
            out. A column of two values is spread a little, so that its marks do not hide each other; the CSV
            holds the values themselves.
        x, y, series: the names of the columns.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
    """
    shown = rows[[x, y, series]].dropna().astype({x: float, y: float})
    spread = np.random.default_rng(0).uniform(-1, 1, (len(shown), 2))
    places = {
        axis: shown[axis] + (0.12 * spread[:, number] if shown[axis].nunique() <= 2 else 0)
        for number, axis in enumerate((x, y))
    }
    groups = list(dict.fromkeys(shown[series]))

    def draw(axes: Axes) -> None:
        means = []
        for number, group in enumerate(groups):
            inside = shown[series] == group
            look = SEQUENCE[number % len(SEQUENCE)]
            axes.scatter(
                places[x][inside],
                places[y][inside],
                s=14,
                alpha=0.55,
                color=look.drawn,
                marker=look.marker,
                linewidths=0,
                label=f"{group}",
            )
            text = f"{series}: {group}" if isinstance(group, str) else f"{group} {series}"
            means.append(EndLabel(text, shown[y][inside].mean(), look))
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        label_ends(axes, means, lines=False)

    means = [
        f"{series} {group}: mean {x} {part[x].mean():.2f}, mean {y} {part[y].mean():.2f}, {len(part)} answers"
        for group, part in shown.groupby(series)
    ]
    alt = f"Scatter plot of {y} against {x} on {len(shown)} answers. " + "; ".join(means) + "."
    caption += " Beside it, each name stands at the height of its answers' mean."
    return make_figure(draw, name=name, caption=caption, alt=alt, data=shown, height=4.3)
