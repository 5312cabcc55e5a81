"""Figures of shares of answers, mostly of those that refuse."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from safetune_utils.book.figures.figure import (
    Figure,
    error_bars,
    make_figure,
    make_panels,
    percent,
    records,
    set_ticks,
    shorten,
    tint_square,
)
from safetune_utils.book.figures.labels import EndLabel, MarkLabel, label_ends, label_marks
from safetune_utils.book.figures.palette import GRID, SEQUENCE, WORDS, Look, look_of
from safetune_utils.data import in_order, set_entry

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def dose_response(
    curve: pd.DataFrame,
    *,
    name: str,
    caption: str,
    x: str = "n_safety",
    by_seed: pd.DataFrame | None = None,
    n_other: int | None = None,
    untuned: pd.DataFrame | None = None,
    words: pd.DataFrame | None = None,
) -> Figure:
    """Share of answers that refuse against the amount of safety data, one line a prompt set, with 95 %
    intervals.

    Args:
        curve: from :func:`safetune_utils.statistics.shares.summarise` by ``prompt_set`` and ``x``.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
        x: the column with the amount.
        by_seed: the same by ``seed`` too; with several seeds, a band from the lowest to the highest, so that
            their spread is seen.
        n_other: rows of every mix that are no safety examples; if given, a second axis shows the share of
            safety data.
        untuned: the same of the untuned model, by ``prompt_set`` alone; hollow marks to the left of all.
        words: the same of a bag of words, by ``prompt_set`` and ``x``; thin grey lines.
    """
    sets = in_order(curve["prompt_set"])
    if by_seed is not None and by_seed["seed"].nunique() < 2:
        by_seed = None

    def draw(axes: Axes) -> None:
        most = curve[x].max() or 1
        shift, left = most * 0.006, curve[x].min() - most * 0.3
        ends = []
        for place, prompt_set in enumerate(sets):
            look = look_of(prompt_set, place)
            rows = curve[curve["prompt_set"] == prompt_set].sort_values(x)
            # Shifted a little sideways, so that intervals do not hide one another.
            at = rows[x] + (place - (len(sets) - 1) / 2) * shift
            axes.errorbar(
                at,
                rows["share"] * 100,
                yerr=error_bars(rows),
                color=look.drawn,
                marker=look.marker,
                linestyle=look.line,
                capsize=2,
                linewidth=1.8,
                markersize=5.5,
                elinewidth=1,
                label=set_entry(prompt_set).title,
            )
            ends.append(EndLabel(set_entry(prompt_set).title, rows["share"].iloc[-1] * 100, look))
            if by_seed is not None:
                seeds = by_seed[by_seed["prompt_set"] == prompt_set].groupby(x)["share"]
                spread = seeds.agg(["min", "max"]) * 100
                axes.fill_between(
                    spread.index, spread["min"], spread["max"], color=look.drawn, alpha=0.16, linewidth=0
                )
            if untuned is not None:
                _mark_untuned(axes, untuned[untuned["prompt_set"] == prompt_set], at=left, look=look)
        if words is not None:
            ends.append(_draw_words(axes, words, sets, x=x))
        _set_dose_axes(axes, sorted(curve[x].unique()), n_other)
        if untuned is not None:
            names = [tick.get_text() for tick in axes.get_xticklabels()]
            axes.set_xticks([left, *axes.get_xticks()], ["untuned", *names])
        label_ends(axes, ends)

    alt = _dose_alt(curve, sets, x)
    shown = curve
    for name_of, others in (("untuned", untuned), ("bag of words", words)):
        if others is not None:
            alt += f" {name_of.capitalize()}: {_others_alt(others, sets, x)}."
            shown = pd.concat(
                [shown.assign(by=shown.get("by", "adapter")), others.assign(by=name_of)], ignore_index=True
            )
    if words is not None:
        caption += " Grey: what a bag of words would refuse, which saw the instructions of the mix alone."
    if by_seed is not None:
        caption += f" Bands: from the lowest to the highest of {by_seed['seed'].nunique()} seeds."
        alt += _seeds_alt(by_seed, sets, x)
        by_seed = by_seed.assign(by="adapter") if "by" in shown else by_seed
        shown = pd.concat([shown.assign(seed="all"), by_seed], ignore_index=True)
    height = max(3.9, 1.3 + 0.45 * (len(sets) + (words is not None)))
    return make_figure(draw, name=name, caption=caption, alt=alt, data=shown, height=height)


def _mark_untuned(axes: Axes, rows: pd.DataFrame, *, at: float, look: Look) -> None:
    """The untuned model's share as a hollow mark with its interval."""
    axes.errorbar(
        [at] * len(rows),
        rows["share"] * 100,
        yerr=error_bars(rows),
        color=look.drawn,
        marker=look.marker,
        markerfacecolor="none",
        linestyle="none",
        capsize=2,
        markersize=5.5,
        elinewidth=1,
    )


def _draw_words(axes: Axes, words: pd.DataFrame, sets: list[str], *, x: str) -> EndLabel:
    """What a bag of words would refuse, a thin grey line a prompt set, with the set's marker; and their name,
    which stands beside the highest.
    """
    ends = []
    for place, prompt_set in enumerate(sets):
        rows = words[words["prompt_set"] == prompt_set].sort_values(x)
        axes.plot(
            rows[x],
            rows["share"] * 100,
            color=WORDS.drawn,
            linewidth=0.9,
            marker=look_of(prompt_set, place).marker,
            markersize=2.5,
        )
        ends += list(rows["share"][-1:] * 100)
    return EndLabel("bag of words", max(ends, default=math.nan), WORDS)


def _others_alt(others: pd.DataFrame, sets: list[str], x: str) -> str:
    return "; ".join(
        f"{set_entry(s).title} "
        + ", ".join(
            percent(r.share) + (f" at {getattr(r, x)}" if x in others else "")
            for r in records(others[others["prompt_set"] == s])
        )
        for s in sets
    )


def _set_dose_axes(axes: Axes, ticks: list[Any], n_other: int | None) -> None:
    """Labels and limits; above, where ``n_other`` is given, the share of safety data at each tick."""
    axes.set_xlabel("safety examples added")
    axes.set_ylabel("answers that refuse (%)")
    axes.set_ylim(-3, 103)
    set_ticks(axes, ticks)
    if n_other is not None:
        named = {n for n, tick in zip(ticks, axes.get_xticklabels(), strict=True) if tick.get_text()}
        above = axes.secondary_xaxis("top")
        above.set_xticks(ticks, [f"{n / (n + n_other) * 100:.0f}" if n in named else "" for n in ticks])
        above.set_xlabel("safety data in the mix (%)")
        above.spines["top"].set_visible(False)


def _dose_alt(curve: pd.DataFrame, sets: list[str], x: str) -> str:
    lines = [
        f"{set_entry(s).title}: "
        + ", ".join(
            f"{percent(r.share)} at {getattr(r, x)}"
            for r in records(curve[curve["prompt_set"] == s].sort_values(x))
        )
        for s in sets
    ]
    return (
        "Line chart of the share of answers that refuse against the number of safety examples. "
        + "; ".join(lines)
        + "."
    )


def _seeds_alt(by_seed: pd.DataFrame, sets: list[str], x: str) -> str:
    lines = [f"{set_entry(s).title}: {_seed_ranges(by_seed[by_seed['prompt_set'] == s], x)}" for s in sets]
    return " Lowest and highest seed: " + "; ".join(lines) + "."


def _seed_ranges(rows: pd.DataFrame, x: str) -> str:
    return ", ".join(
        f"{percent(part['share'].min())} to {percent(part['share'].max())} at {at}"
        for at, part in rows.groupby(x)
    )


def by_kind(
    table: pd.DataFrame,
    *,
    name: str,
    caption: str,
    series: str = "n_safety",
    names: Mapping[Any, str] | None = None,
) -> Figure:
    """Share of refusals for each kind of prompt, one mark a value of ``series``, with 95 % intervals.

    Args:
        table: from :func:`safetune_utils.statistics.shares.summarise` by ``kind`` and ``series``.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
        series: the column whose values are compared.
        names: each value of ``series`` in words, in the order to show; by default they are numbers of safety
            examples.
    """
    values = list(names or sorted(table[series].unique()))
    words = names or {value: f"{value}" for value in values}
    kinds = list(table[table[series] == values[-1]].sort_values("share")["kind"])

    def draw(axes: Axes) -> None:
        labels = []
        for place, value in enumerate(values):
            rows = table[table[series] == value].set_index("kind").loc[kinds].reset_index()
            look = SEQUENCE[place % len(SEQUENCE)]
            at = [i + (place - (len(values) - 1) / 2) * 0.17 for i in range(len(kinds))]
            axes.errorbar(
                rows["share"] * 100,
                at,
                xerr=error_bars(rows),
                color=look.drawn,
                marker=look.marker,
                linestyle="none",
                capsize=2,
                markersize=5,
                elinewidth=1,
                label=words[value],
            )
            text = words[value] if names or place else f"{value} safety examples"
            top = rows["share"].last_valid_index()  # of the kinds that are scored
            if top is not None:
                labels.append(MarkLabel(text, rows["share"][top] * 100, at[top], look))
        axes.set_yticks(range(len(kinds)), [shorten(kind.replace("_", " ")) for kind in kinds])
        axes.set_xlabel("answers that refuse (%)")
        axes.set_xlim(-3, 103)
        label_marks(axes, labels)

    lines = [
        f"{kind.replace('_', ' ')} "
        + ", ".join(
            f"{percent(share)} " + (f"with {names[value]}" if names else f"at {value}")
            for value, share in table[table["kind"] == kind].set_index(series)["share"].loc[values].items()
        )
        for kind in reversed(kinds)
    ]
    across = "model" if names else "number of safety examples"
    alt = (
        f"Dot chart of the share of answers that refuse, by type of prompt and {across}. "
        + "; ".join(lines)
        + "."
    )
    height = 0.44 * len(kinds) + 1.5
    return make_figure(draw, name=name, caption=caption, alt=alt, data=table, height=height)


def transfer_matrix(table: pd.DataFrame, *, name: str, caption: str) -> Figure:
    """Share of answers that refuse, as a table of numbers: what was trained on down, what was asked across.

    Args:
        table: from :func:`safetune_utils.statistics.shares.summarise` by ``trained`` (shown in the order of
            its rows) and ``prompt_set``.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
    """
    trained = list(dict.fromkeys(table["trained"]))
    sets = in_order(table["prompt_set"])
    cells = {(row.trained, row.prompt_set): row for row in records(table) if row.n_scored}

    def draw(axes: Axes) -> None:
        for (form, prompt_set), row in cells.items():
            across, down = sets.index(prompt_set), trained.index(form)
            tint_square(axes, across, down, row.share)
            axes.text(across + 0.5, down + 0.3, percent(row.share), ha="center", va="center", fontsize=15)
            axes.text(
                across + 0.5,
                down + 0.68,
                f"{row.low * 100:.0f}–{row.high * 100:.0f}\nn = {row.n_scored}",
                ha="center",
                va="center",
            )
        axes.set_xlim(0, len(sets))
        axes.set_ylim(len(trained), 0)
        axes.set_xticks(
            [i + 0.5 for i in range(len(sets))], [set_entry(s).title.replace(" ", "\n", 1) for s in sets]
        )
        axes.set_yticks([i + 0.5 for i in range(len(trained))], [shorten(form) for form in trained])
        axes.set_xlabel("asked")
        axes.set_ylabel("safety examples in training")
        axes.grid(visible=False)
        axes.tick_params(length=0)

    lines = [
        f"trained on {form}: "
        + ", ".join(
            f"{percent(cells[form, s].share)} of {set_entry(s).title}"
            if (form, s) in cells
            else f"no scored {set_entry(s).title}"
            for s in sets
        )
        for form in trained
    ]
    alt = (
        "Matrix of the share of answers that refuse, "
        "by form of the safety examples in training and of the requests: " + "; ".join(lines) + "."
    )
    return make_figure(
        draw,
        name=name,
        caption=caption,
        alt=alt,
        data=table,
        height=1.3 + 0.85 * len(trained),
    )


def dumbbells(table: pd.DataFrame, *, name: str, caption: str) -> Figure:
    """Two or more prompt sets side by side at each amount of safety data, one panel a measure, with 95 %
    intervals.

    Args:
        table: columns ``measure`` (what the share is of, in words), ``prompt_set``, ``n_safety``, ``share,
            low, high`` (0 to 1).
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
    """
    measures = list(dict.fromkeys(table["measure"]))
    sets = in_order(table["prompt_set"])
    amounts = sorted(table["n_safety"].unique())

    def rows(measure: str, prompt_set: str) -> pd.DataFrame:
        chosen = table[(table["measure"] == measure) & (table["prompt_set"] == prompt_set)]
        return chosen.set_index("n_safety").reindex(amounts)

    def draw(axes: list[Axes]) -> None:
        for axis, measure in zip(axes, measures, strict=True):
            at = [
                [place + (number - (len(sets) - 1) / 2) * 0.22 for place in range(len(amounts))]
                for number in range(len(sets))
            ]
            ends = [rows(measure, s)["share"] * 100 for s in sets]
            axis.plot(ends, at, color=GRID.light, linewidth=2.5, zorder=1)
            labels = []
            for place, (prompt_set, heights, shares) in enumerate(zip(sets, at, ends, strict=True)):
                look = look_of(prompt_set, place)
                first = shares.first_valid_index()  # of the amounts that are scored
                if first is not None:
                    height = heights[amounts.index(first)]
                    labels.append(MarkLabel(set_entry(prompt_set).title, shares[first], height, look))
                axis.errorbar(
                    shares,
                    heights,
                    xerr=error_bars(rows(measure, prompt_set)),
                    color=look.drawn,
                    marker=look.marker,
                    linestyle="none",
                    capsize=2,
                    markersize=6,
                    elinewidth=1,
                    label=set_entry(prompt_set).title,
                )
            axis.set_xlabel(f"{measure} (%)")
            axis.set_xlim(-4, 104)
            axis.set_ylim(len(amounts) - 0.5, -0.5)
            axis.set_yticks(range(len(amounts)), [str(n) for n in amounts])
            axis.set_ylabel("safety examples")
            label_marks(axis, labels)

    lines = [
        f"{measure}, {set_entry(s).title}: "
        + ", ".join(f"{percent(share)} at {n}" for n, share in rows(measure, s)["share"].items())
        for measure in measures
        for s in sets
    ]
    alt = "Dumbbell chart of shares of answers by number of safety examples. " + "; ".join(lines) + "."
    return make_panels(
        draw,
        name=name,
        caption=caption,
        alt=alt,
        data=table,
        height=1.5 + 0.5 * len(amounts),
        panels=len(measures),
    )
