"""The book's few kinds of figure, each in light and dark, with alt text built from its data and that data as CSV.

A figure is an object that a notebook shows by naming it last in a cell. It carries everything inside itself (images,
alt text, CSV), so a page shows it with no other file and no network.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from safetune_utils.data import PROMPT_SETS, Shape

# Colour-blind safe (after Okabe and Ito), one pair (light, dark) and one marker a prompt set, so that no line is told
# apart by colour alone.
_INK = {"light": "#1f2328", "dark": "#e6edf3"}
_GRID = {"light": "#d0d7de", "dark": "#3d444d"}
_LOOKS: dict[str, tuple[str, str, str, str]] = {
    "malicious": ("#b3400a", "#ff9d5c", "o", "-"),
    "malicious_questions": ("#b3400a", "#ff9d5c", "s", "--"),
    "hateful": ("#8a6d00", "#e3c341", "D", "-"),
    "controversial": ("#8a6d00", "#e3c341", "P", "--"),
    "opinions": ("#57606a", "#adb5bd", "X", ":"),
    "physical_unsafe": ("#0a6b58", "#4fd1b5", "v", "-"),
    "physical_safe": ("#0a6b58", "#4fd1b5", "^", "--"),
    "lookalikes_unsafe": ("#0a6b58", "#4fd1b5", "v", "--"),
    "lookalikes_safe": ("#8b3a8f", "#e39be6", "^", "-"),
    "ordinary": ("#0b5cad", "#79b8ff", "D", "-"),
}
_SEQUENCE = [("#0b5cad", "#79b8ff", "o"), ("#b3400a", "#ff9d5c", "s"), ("#0a6b58", "#4fd1b5", "^"),
             ("#8b3a8f", "#e39be6", "D"), ("#8a6d00", "#e3c341", "v"), ("#57606a", "#adb5bd", "P")]  # fmt: skip

# The book's theme switches by data-theme on <html>, JupyterLab by data-jp-theme-light on <body>.
_STYLE = (
    "<style>.safetune-figure{margin:1rem 0}.safetune-figure img{max-width:100%;height:auto}"
    ".safetune-figure .only-dark{display:none}"
    "html[data-theme=dark] .safetune-figure .only-dark,body[data-jp-theme-light=false] .safetune-figure .only-dark{display:inline}"
    "html[data-theme=dark] .safetune-figure .only-light,body[data-jp-theme-light=false] .safetune-figure .only-light{display:none}"
    "</style>"
)


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
        # The images stand in a box of their own: the theme hides captions that are siblings of a hidden image.
        images = "".join(
            f'<img class="only-{theme}" alt="{html.escape(self.alt, quote=True)}" src="data:image/svg+xml;base64,{_base64(image)}">'
            for theme, image in (("light", self.light), ("dark", self.dark))
        )
        caption = f"{html.escape(self.caption)} ({csv_link(self.name, self.csv)})"
        return f'{_STYLE}<figure class="safetune-figure" id="figure-{self.name}"><div>{images}</div><figcaption>{caption}</figcaption></figure>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        # The name in the metadata lets the book put the same figure on its welcome page.
        return {"text/html": self._repr_html_(), "text/plain": self.alt}, {"safetune": {"figure": self.name}}


def csv_link(name: str, csv: str) -> str:
    """A link that holds a CSV file inside itself, to stand in a caption; ``name`` is the file's, of plain letters."""
    return f'<a download="{name}.csv" href="data:text/csv;base64,{_base64(csv)}">the numbers, as CSV</a>'


def dose_response(
    curve: pd.DataFrame, *, name: str, caption: str, x: str = "n_safety", by_seed: pd.DataFrame | None = None, n_other: int | None = None
) -> Figure:
    """Share of answers that refuse against the amount of safety data, one line a prompt set, with 95 % intervals.

    Args:
        curve: from :func:`safetune_utils.stats.summarise` by ``prompt_set`` and ``x``.
        name: the figure's name, also that of its CSV file.
        by_seed: the same by ``seed`` too; with several seeds, a band from the lowest to the highest, so that their spread is seen.
        n_other: rows of every mix that are no safety examples; given, a second axis says the share of safety data.
    """
    sets = [s for s in PROMPT_SETS if s in set(curve["prompt_set"])]
    if by_seed is not None and by_seed["seed"].nunique() < 2:
        by_seed = None

    def draw(axes: Axes, theme: int) -> None:
        shift = (curve[x].max() or 1) * 0.006
        for place, prompt_set in enumerate(sets):
            look = _LOOKS[prompt_set]
            rows = curve[curve["prompt_set"] == prompt_set].sort_values(x)
            # Shifted a little sideways, so that intervals do not hide one another.
            at = rows[x] + (place - (len(sets) - 1) / 2) * shift
            axes.errorbar(
                at, rows["share"] * 100, yerr=_bars(rows), color=look[theme], marker=look[2], linestyle=look[3],
                capsize=2, linewidth=1.8, markersize=5.5, elinewidth=1, label=PROMPT_SETS[prompt_set].title,
            )  # fmt: skip
            if by_seed is not None:
                spread = by_seed[by_seed["prompt_set"] == prompt_set].groupby(x)["share"].agg(["min", "max"]) * 100
                axes.fill_between(spread.index, spread["min"], spread["max"], color=look[theme], alpha=0.16, linewidth=0)
        axes.set_xlabel("safety examples added to the general ones")
        axes.set_ylabel("answers that refuse (%)")
        axes.set_ylim(-3, 103)
        ticks = sorted(curve[x].unique())
        axes.set_xticks(ticks)
        if n_other is not None:
            above = axes.secondary_xaxis("top")
            above.set_xticks(ticks, [f"{n / (n + n_other) * 100:.0f}" for n in ticks])
            above.set_xlabel("share of safety data in the mix (%)")
            above.spines["top"].set_visible(False)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)

    lines = [
        f"{PROMPT_SETS[s].title}: " + ", ".join(f"{_percent(r.share)} at {getattr(r, x)}" for r in curve[curve["prompt_set"] == s].sort_values(x).itertuples())
        for s in sets
    ]
    alt = "Line chart of the share of answers that refuse against the number of safety examples. " + "; ".join(lines) + "."
    shown = curve
    if by_seed is not None:
        caption += f" Bands: from the lowest to the highest of {by_seed['seed'].nunique()} seeds."
        alt += " Lowest and highest seed: " + "; ".join(f"{PROMPT_SETS[s].title}: {_seed_ranges(by_seed[by_seed['prompt_set'] == s], x)}" for s in sets) + "."
        shown = pd.concat([curve.assign(seed="all"), by_seed], ignore_index=True)
    return _figure(draw, name=name, caption=caption, alt=alt, data=shown, size=(8.2, 4.2))


def _seed_ranges(rows: pd.DataFrame, x: str) -> str:
    return ", ".join(f"{_percent(part['share'].min())} to {_percent(part['share'].max())} at {at}" for at, part in rows.groupby(x))


def by_kind(table: pd.DataFrame, *, name: str, caption: str, series: str = "n_safety", names: dict[Any, str] | None = None) -> Figure:
    """Share of refusals for each kind of prompt, one mark a value of ``series``, with 95 % intervals.

    Args:
        table: from :func:`safetune_utils.stats.summarise` by ``kind`` and ``series``.
        names: each value of ``series`` in words, in the order to show; by default they are numbers of safety examples.
    """
    values = list(names or sorted(table[series].unique()))
    words = names or {value: f"{value} safety examples" for value in values}
    kinds = list(table[table[series] == values[-1]].sort_values("share")["kind"])

    def draw(axes: Axes, theme: int) -> None:
        for place, value in enumerate(values):
            rows = table[table[series] == value].set_index("kind").loc[kinds].reset_index()
            look = _SEQUENCE[place % len(_SEQUENCE)]
            at = [i + (place - (len(values) - 1) / 2) * 0.17 for i in range(len(kinds))]
            axes.errorbar(rows["share"] * 100, at, xerr=_bars(rows), color=look[theme], marker=look[2], linestyle="none",
                          capsize=2, markersize=5, elinewidth=1, label=words[value])  # fmt: skip
        axes.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds])
        axes.set_xlabel("answers that refuse (%)")
        axes.set_xlim(-3, 103)
        # The figure's and not the axes', whose middle lies so far right that a wide legend would be cut off.
        columns = 3 if sum(len(words[value]) for value in values[:3]) < 65 else 1
        axes.figure.legend(loc="outside upper center", ncols=min(columns, len(values)), frameon=False)

    lines = [
        f"{kind.replace('_', ' ')} "
        + ", ".join(
            f"{_percent(share)} " + (f"with {names[value]}" if names else f"at {value}")
            for value, share in table[table["kind"] == kind].set_index(series)["share"].loc[values].items()
        )
        for kind in reversed(kinds)
    ]
    alt = "Dot chart of the share of answers that refuse by type of prompt. " + "; ".join(lines) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=table, size=(7.4, 0.42 * len(kinds) + 1.6))


def trade_off(curve: pd.DataFrame, *, wanted: str, unwanted: str, name: str, caption: str) -> Figure:
    """Refusals that are wanted against refusals that are not, one point an amount; the upper left corner is best.

    Args:
        curve: from :func:`safetune_utils.stats.summarise` by ``prompt_set`` and ``n_safety``.
        wanted, unwanted: the prompt sets on the vertical and on the horizontal axis.
    """
    sets = {axis: curve[curve["prompt_set"] == s].set_index("n_safety") for axis, s in (("up", wanted), ("right", unwanted))}
    points = sets["up"].add_prefix("wanted_").join(sets["right"].add_prefix("unwanted_")).sort_index().reset_index()

    def draw(axes: Axes, theme: int) -> None:
        color = _SEQUENCE[0][theme]
        x, y = points["unwanted_share"] * 100, points["wanted_share"] * 100
        axes.errorbar(
            x, y, xerr=_bars(points, "unwanted_"), yerr=_bars(points, "wanted_"), color=color, marker="o", capsize=2,
            linewidth=1.4, elinewidth=0.8,
        )  # fmt: skip
        for n, right, up in zip(points["n_safety"], x, y, strict=True):
            axes.annotate(f"{n}", (right, up), textcoords="offset points", xytext=(6, -12), color=color)
        axes.plot([0, 100], [0, 100], linestyle=":", linewidth=1.2, color=_INK["light" if theme == 0 else "dark"])
        axes.set_xlabel(f"{PROMPT_SETS[unwanted].title} refused (%): unwanted")
        axes.set_ylabel(f"{PROMPT_SETS[wanted].title} refused (%): wanted")
        axes.set_xlim(-3, 103)
        axes.set_ylim(-3, 103)

    lines = [
        f"with {r.n_safety} safety examples {_percent(r.wanted_share)} wanted and {_percent(r.unwanted_share)} unwanted refusals" for r in points.itertuples()
    ]
    alt = f"Scatter plot of wanted refusals ({PROMPT_SETS[wanted].title}) against unwanted ones ({PROMPT_SETS[unwanted].title}): " + "; ".join(lines) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=points, size=(5.6, 5.0))


def frontier(curve: pd.DataFrame, *, wanted: str, unwanted: str, name: str, caption: str) -> Figure:
    """Refusals that are wanted against refusals that are not, one point a variant with both intervals; the upper left corner is best.

    Args:
        curve: from :func:`safetune_utils.stats.summarise` by ``prompt_set`` and ``variant``, whose names are shown in the order of its rows.
        wanted, unwanted: the prompt sets on the vertical and on the horizontal axis.
    """
    sets = {axis: curve[curve["prompt_set"] == s].set_index("variant") for axis, s in (("up", wanted), ("right", unwanted))}
    points = sets["up"].add_prefix("wanted_").join(sets["right"].add_prefix("unwanted_"))
    points = points.reindex(dict.fromkeys(curve["variant"])).reset_index()

    def draw(axes: Axes, theme: int) -> None:
        axes.plot([0, 100], [0, 100], linestyle=":", linewidth=1.2, color=_INK[("light", "dark")[theme]])
        for place in range(len(points)):
            row = points.iloc[[place]]
            look = _SEQUENCE[place % len(_SEQUENCE)]
            axes.errorbar(
                row["unwanted_share"] * 100, row["wanted_share"] * 100, xerr=_bars(row, "unwanted_"), yerr=_bars(row, "wanted_"),
                color=look[theme], marker=look[2], markersize=7, linestyle="none", capsize=2, elinewidth=0.8, label=row["variant"].item(),
                markerfacecolor=look[theme] if place < len(_SEQUENCE) else "none",
            )  # fmt: skip
        axes.set_xlabel(f"{PROMPT_SETS[unwanted].title} refused (%): unwanted")
        axes.set_ylabel(f"{PROMPT_SETS[wanted].title} refused (%): wanted")
        axes.set_xlim(-3, 103)
        axes.set_ylim(-3, 103)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)

    lines = [f"{r.variant}, {_percent(r.wanted_share)} wanted and {_percent(r.unwanted_share)} unwanted refusals" for r in points.itertuples()]
    alt = f"Scatter plot of wanted refusals ({PROMPT_SETS[wanted].title}) against unwanted ones ({PROMPT_SETS[unwanted].title}): " + "; ".join(lines) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=points, size=(8.2, 5.0))


def transfer_matrix(table: pd.DataFrame, *, name: str, caption: str) -> Figure:
    """Share of answers that refuse, as a square of figures: what was trained on down, what was asked across.

    Args:
        table: from :func:`safetune_utils.stats.summarise` by ``trained`` (shown in the order of its rows) and ``prompt_set``.
    """
    trained = list(dict.fromkeys(table["trained"]))
    sets = [s for s in PROMPT_SETS if s in set(table["prompt_set"])]
    cells = {(row.trained, row.prompt_set): row for row in table.itertuples() if row.n_scored}

    def draw(axes: Axes, theme: int) -> None:
        color = mpl.colors.to_rgb(_SEQUENCE[0][theme])
        for (form, prompt_set), row in cells.items():
            across, down = sets.index(prompt_set), trained.index(form)
            axes.add_patch(mpl.patches.Rectangle((across, down), 1, 1, color=(*color, 0.08 + 0.5 * row.share), linewidth=0))
            axes.text(across + 0.5, down + 0.42, _percent(row.share), ha="center", va="center", fontsize=12.5)
            axes.text(across + 0.5, down + 0.74, f"{row.low * 100:.0f}–{row.high * 100:.0f}, n = {row.n_scored}", ha="center", va="center", fontsize=8.5)
        axes.set_xlim(0, len(sets))
        axes.set_ylim(len(trained), 0)
        axes.set_xticks([i + 0.5 for i in range(len(sets))], [PROMPT_SETS[s].title.replace(" ", "\n", 1) for s in sets])
        axes.set_yticks([i + 0.5 for i in range(len(trained))], trained)
        axes.set_xlabel("asked")
        axes.set_ylabel("safety examples in training")
        axes.grid(visible=False)
        axes.tick_params(length=0)

    lines = [
        f"trained on {form}: "
        + ", ".join(f"{_percent(cells[form, s].share)} of {PROMPT_SETS[s].title}" if (form, s) in cells else f"no scored {PROMPT_SETS[s].title}" for s in sets)
        for form in trained
    ]
    alt = "Matrix of the share of answers that refuse, by form of the safety examples in training and of the requests: " + "; ".join(lines) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=table, size=(2.2 + 1.6 * len(sets), 1.2 + 0.75 * len(trained)))


def dumbbells(table: pd.DataFrame, *, name: str, caption: str) -> Figure:
    """Two or more prompt sets side by side at each amount of safety data, one panel a measure, with 95 % intervals.

    Args:
        table: columns ``measure`` (what the share is of, in words), ``prompt_set``, ``n_safety``, ``share, low, high`` (0 to 1).
    """
    measures = list(dict.fromkeys(table["measure"]))
    sets = [s for s in PROMPT_SETS if s in set(table["prompt_set"])]
    amounts = sorted(table["n_safety"].unique())

    def rows(measure: str, prompt_set: str) -> pd.DataFrame:
        chosen = table[(table["measure"] == measure) & (table["prompt_set"] == prompt_set)]
        return chosen.set_index("n_safety").reindex(amounts)

    def draw(axes: Any, theme: int) -> None:
        panels = [axes] if len(measures) == 1 else list(axes)
        for axis, measure in zip(panels, measures, strict=True):
            at = [[place + (number - (len(sets) - 1) / 2) * 0.22 for place in range(len(amounts))] for number in range(len(sets))]
            ends = [rows(measure, s)["share"] * 100 for s in sets]
            axis.plot(ends, at, color=_GRID[("light", "dark")[theme]], linewidth=2.5, zorder=1)
            for prompt_set, heights, shares in zip(sets, at, ends, strict=True):
                look = _LOOKS[prompt_set]
                axis.errorbar(
                    shares, heights, xerr=_bars(rows(measure, prompt_set)), color=look[theme], marker=look[2], linestyle="none",
                    capsize=2, markersize=6, elinewidth=1, label=PROMPT_SETS[prompt_set].title,
                )  # fmt: skip
            axis.set_xlabel(f"{measure} (%)")
            axis.set_xlim(-4, 104)
            axis.set_ylim(len(amounts) - 0.5, -0.5)
            axis.set_yticks(range(len(amounts)), [str(n) for n in amounts] if axis is panels[0] else [])
        panels[0].set_ylabel("safety examples")
        # One for all panels, and the canvas's own: a panel's would take its width from that panel.
        panels[0].figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(sets), frameon=False)

    lines = [
        f"{measure}, {PROMPT_SETS[s].title}: " + ", ".join(f"{_percent(share)} at {n}" for n, share in rows(measure, s)["share"].items())
        for measure in measures
        for s in sets
    ]
    alt = "Dumbbell chart of shares of answers by number of safety examples. " + "; ".join(lines) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=table, size=(1.2 + 2.7 * len(measures), 1.3 + 0.5 * len(amounts)), panels=len(measures))


def panels(table: pd.DataFrame, *, name: str, caption: str, x: str = "n_safety") -> Figure:
    """Several measures against the amount of safety data, one panel each, with 95 % intervals. Each panel has a scale of its own.

    Args:
        table: columns ``measure`` (its name with its unit), ``x``, ``value``, ``low``, ``high``, in the order to show.
    """
    measures = list(dict.fromkeys(table["measure"]))

    def draw(axes: Axes | list[Axes], theme: int) -> None:
        for place, (axis, measure) in enumerate(zip([axes] if len(measures) == 1 else axes, measures, strict=True)):
            rows = table[table["measure"] == measure].sort_values(x)
            bars = [(rows["value"] - rows["low"]).clip(lower=0), (rows["high"] - rows["value"]).clip(lower=0)]
            look = _SEQUENCE[place % len(_SEQUENCE)]
            axis.errorbar(rows[x], rows["value"], yerr=bars, color=look[theme], marker=look[2], capsize=2, linewidth=1.6, elinewidth=1)
            axis.set_xticks(sorted(rows[x]), [f"{n}" for n in sorted(rows[x])], rotation=45)
            axis.set_xlabel("safety examples")
            axis.set_title(measure, fontsize=10.5)

    lines = [
        f"{measure}: " + ", ".join(f"{r.value:.3g} ({r.low:.3g} to {r.high:.3g}) at {getattr(r, x)}" for r in rows.sort_values(x).itertuples())
        for measure, rows in table.groupby("measure", sort=False)
    ]
    alt = "Line charts over the number of safety examples, with intervals. " + "; ".join(lines) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=table, size=(3.1 * len(measures) + 0.4, 3.2), panels=len(measures))


def win_rates(table: pd.DataFrame, *, name: str, caption: str) -> Figure:
    """Win rates with their 95 % intervals, one row each; on the dotted line at one half neither side is preferred.

    Args:
        table: columns ``label`` and ``win_rate, low, high`` (0 to 1), in the order to show, and ``series``, which decides colour and marker.
    """
    groups = list(dict.fromkeys(table["series"]))
    rows = table.rename(columns={"win_rate": "share"}).reset_index(drop=True)

    def draw(axes: Axes, theme: int) -> None:
        axes.axvline(50, linestyle=":", linewidth=1.2, color=_INK["light" if theme == 0 else "dark"])
        for place, group in enumerate(groups):
            part = rows[rows["series"] == group]
            look = _SEQUENCE[place % len(_SEQUENCE)]
            axes.errorbar(part["share"] * 100, part.index, xerr=_bars(part), color=look[theme], marker=look[2], linestyle="none",
                          capsize=2, markersize=5, elinewidth=1, label=group)  # fmt: skip
        axes.set_yticks(range(len(rows)), rows["label"])
        axes.invert_yaxis()
        axes.set_xlim(-3, 103)
        axes.set_xlabel("win rate (%)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(3, len(groups)), frameon=False)

    lines = [f"{row.series}, {row.label}: {_percent(row.win_rate)} ({_percent(row.low)} to {_percent(row.high)})" for row in table.itertuples()]
    alt = "Dot chart of win rates; one half is even. " + "; ".join(lines) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=table, size=(7.4, 0.42 * len(rows) + 1.4))


def loss_curves(losses: pd.DataFrame, *, name: str, caption: str, of: str = "safety examples") -> Figure:
    """Validation loss against training steps, one line an adapter; lower is better.

    Args:
        losses: from :meth:`safetune_utils.study.Study.losses`.
        of: what its column ``n_safety`` counts.
    """
    measured = losses.dropna(subset=["validation_loss"])
    groups = list(measured.groupby(["n_safety", "seed"]))

    def draw(axes: Axes, theme: int) -> None:
        for place, ((n, seed), rows) in enumerate(groups):
            look = _SEQUENCE[place % len(_SEQUENCE)]
            label = f"{n} {of}" + (f", seed {seed}" if measured["seed"].nunique() > 1 else "")
            axes.plot(rows["step"], rows["validation_loss"], color=look[theme], marker=look[2], linewidth=1.6, label=label)
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("validation loss (nats a token)")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)

    lines = [
        f"{n} {of}, seed {seed}: from {rows['validation_loss'].iloc[0]:.2f} to {rows['validation_loss'].iloc[-1]:.2f}, lowest {rows['validation_loss'].min():.2f}"
        for (n, seed), rows in groups
    ]
    alt = "Line chart of the validation loss against training steps. " + "; ".join(lines) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=measured, size=(7.6, 3.4))


def funnel(steps: list[tuple[str, int]], *, name: str, caption: str) -> Figure:
    """How many rows are left after each step, first to last, one bar a step."""
    labels, counts = [label for label, _ in steps], [n for _, n in steps]

    def draw(axes: Axes, theme: int) -> None:
        bars = axes.barh(labels, counts, color=_SEQUENCE[0][theme])
        axes.bar_label(bars, padding=4, color=_INK[("light", "dark")[theme]])
        axes.invert_yaxis()
        axes.set_xlim(0, max(counts) * 1.1 or 1)
        axes.set_xlabel("rows")

    alt = "Bar chart of the rows that are left after each step: " + ", ".join(f"{label} {n}" for label, n in steps) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=pd.DataFrame(steps, columns=["step", "rows"]), size=(7.4, 0.42 * len(steps) + 1.0))


def set_shape(shape: Shape, *, name: str, title: str) -> Figure:
    """A set in two panels: how long its requests and answers are, in words, and what they are about, in rows.

    Args:
        shape: from :func:`safetune_utils.data.corpus_shape` or its like; at most fourteen topics are drawn.
        title: the set's name, for the caption and the alt text.
    """
    lengths = [(label, words) for label, words in (("requests", shape.prompt_words), ("answers", shape.answer_words)) if words]
    shown = list(shape.topics.items())[:14]
    longest = max(_quantile(words, 0.99) for _, words in lengths)
    width = max(1, math.ceil(longest / 24))
    edges = [width * k for k in range(math.ceil((longest + 1) / width) + 1)]

    def draw(axes: list[Axes], theme: int) -> None:
        for place, (label, words) in enumerate(lengths):
            look = _SEQUENCE[place]
            # The few longest rows are counted in the last bin, so that they do not flatten the rest.
            at = [min(n, edges[-1] - 1) for n in words]
            axes[0].hist(
                at, bins=edges, weights=list(words.values()), histtype="step", color=look[theme], linewidth=1.6, linestyle=("-", "--")[place], label=label
            )
        axes[0].set_xlabel("length in words")
        axes[0].set_ylabel("rows")
        axes[0].legend(frameon=False)
        axes[1].barh([_cut(topic.replace("_", " ")) for topic, _ in reversed(shown)], [n for _, n in reversed(shown)], color=_SEQUENCE[0][theme])
        axes[1].set_xlabel("rows")
        axes[1].set_title(shape.topics_are.replace("_", " "), fontsize=10.5)

    middle = "; ".join(f"{label}: half have at most {_quantile(words, 0.5)} words, the longest {max(words)}" for label, words in lengths)
    more = f" (and {len(shape.topics) - len(shown)} more)" if len(shape.topics) > len(shown) else ""
    alt = (
        f"Histogram of lengths and bar chart of the {shape.topics_are} of {title}. {middle}. Rows by {shape.topics_are}: "
        + ", ".join(f"{t.replace('_', ' ')} {n}" for t, n in shown)
        + f"{more}."
    )
    numbers = [("words of a request", k, v) for k, v in shape.prompt_words.items()] + [("words of an answer", k, v) for k, v in shape.answer_words.items()]
    numbers += [(shape.topics_are, k, v) for k, v in shape.topics.items()]
    table = pd.DataFrame(numbers, columns=["what", "value", "rows"])
    return _figure(draw, name=name, caption=f"{title}: lengths, and rows by {shape.topics_are}{more}.", alt=alt, data=table, size=(8.2, 3.2), panels=2)


def growth(points: pd.DataFrame, *, name: str, caption: str) -> Figure:
    """Tokens a second over whatever was varied, one panel each.

    Args:
        points: columns ``what`` (training or answering), ``over`` (what was varied), ``at``, ``tokens_per_second``.
    """
    panels = list(dict.fromkeys(zip(points["what"], points["over"], strict=True)))

    def rows(panel: tuple[str, str]) -> pd.DataFrame:
        return points[(points["what"] == panel[0]) & (points["over"] == panel[1])].sort_values("at")

    def draw(axes: list[Axes], theme: int) -> None:
        for place, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
            shown = rows(panel)
            axis.plot(shown["at"], shown["tokens_per_second"], color=_SEQUENCE[0][theme], marker="o", markersize=4, linewidth=1.4)
            axis.set_xscale("log", base=2)
            axis.set_xticks(list(shown["at"]), [f"{n}" for n in shown["at"]])
            axis.minorticks_off()
            axis.set_ylim(0, shown["tokens_per_second"].max() * 1.15)
            axis.set_xlabel(panel[1])
            axis.set_title(panel[0], fontsize=10.5)
            if place == 0:
                axis.set_ylabel("real tokens/s")

    lines = [f"{what} over {over}: " + ", ".join(f"{r.tokens_per_second:.0f} at {r.at}" for r in rows((what, over)).itertuples()) for what, over in panels]
    alt = "Line charts of real tokens per second. " + "; ".join(lines) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=points, size=(2.5 * len(panels), 2.9), panels=len(panels))


def agreement_matrix(table: pd.DataFrame, *, name: str, caption: str) -> Figure:
    """How every instrument agrees with every other, as a square of figures; 1 is full agreement and 0 that of chance.

    Args:
        table: columns ``first, second, kappa, n``, one row a pair of instruments, in the order to show them.
    """
    names = list(dict.fromkeys([*table["first"], *table["second"]]))
    values = {(row.first, row.second): row.kappa for row in table.itertuples()}

    def draw(axes: Axes, theme: int) -> None:
        color = mpl.colors.to_rgb(_SEQUENCE[0][theme])
        for down, one in enumerate(names):
            for across, other in enumerate(names[:down]):
                value = values.get((one, other), values.get((other, one), math.nan))
                shown = 0.0 if math.isnan(value) else max(0.0, min(1.0, value))
                axes.add_patch(mpl.patches.Rectangle((across, down), 1, 1, color=(*color, 0.12 + 0.5 * shown), linewidth=0))
                axes.text(across + 0.5, down + 0.5, "–" if math.isnan(value) else f"{value:.2f}", ha="center", va="center")
        axes.set_xlim(0, len(names) - 1)
        axes.set_ylim(len(names), 1)
        axes.set_xticks([i + 0.5 for i in range(len(names) - 1)], names[:-1], rotation=30, ha="right")
        axes.set_yticks([i + 0.5 for i in range(1, len(names))], names[1:])
        axes.grid(visible=False)
        axes.tick_params(length=0)

    lines = [f"{row.first} and {row.second} {row.kappa:.2f} on {row.n} rows" for row in table.itertuples()]
    alt = "Matrix of Cohen's kappa between pairs of instruments: " + "; ".join(lines) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=table, size=(1.6 + 0.95 * len(names), 1.2 + 0.62 * len(names)))


def calibration(table: pd.DataFrame, *, name: str, caption: str, x: str, y: str) -> Figure:
    """What an instrument says against what people say of the same rows, in bins; on the dotted line it is right on average.

    Args:
        table: columns ``said`` (mean of the instrument in a bin, 0 to 1), ``share, low, high`` (people's yes, with interval) and ``n``.
        x, y: the axes' names.
    """

    def draw(axes: Axes, theme: int) -> None:
        axes.plot([0, 100], [0, 100], linestyle=":", linewidth=1.2, color=_INK["light" if theme == 0 else "dark"])
        axes.errorbar(
            table["said"] * 100, table["share"] * 100, yerr=_bars(table), color=_SEQUENCE[0][theme], marker="o", capsize=2, linewidth=1.4, elinewidth=0.9
        )
        axes.set_xlabel(f"{x} (%)")
        axes.set_ylabel(f"{y} (%)")
        axes.set_xlim(-3, 103)
        axes.set_ylim(-3, 103)

    lines = [f"said {_percent(row.said)}, found {_percent(row.share)} of {row.n}" for row in table.itertuples()]
    alt = f"Calibration plot, {y} against {x}: " + "; ".join(lines) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=table, size=(5.2, 4.6))


def scatter(rows: pd.DataFrame, *, x: str, y: str, series: str, name: str, caption: str) -> Figure:
    """Two instruments on the same answers, one mark an answer, a colour and marker for each value of ``series``.

    Args:
        rows: one row an answer, with the columns ``x``, ``y`` and ``series``; rows that lack one are left out. A column of
            two values is spread a little, so that its marks do not hide each other; the CSV holds the values themselves.
    """
    shown = rows[[x, y, series]].dropna().astype({x: float, y: float})
    spread = np.random.default_rng(0).uniform(-1, 1, (len(shown), 2))
    places = {axis: shown[axis] + (0.12 * spread[:, number] if shown[axis].nunique() <= 2 else 0) for number, axis in enumerate((x, y))}
    groups = list(dict.fromkeys(shown[series]))

    def draw(axes: Axes, theme: int) -> None:
        for number, group in enumerate(groups):
            inside = shown[series] == group
            look = _SEQUENCE[number % len(_SEQUENCE)]
            axes.scatter(places[x][inside], places[y][inside], s=14, alpha=0.55, color=look[theme], marker=look[2], linewidths=0, label=f"{group}")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.legend(frameon=False, title=series, loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=len(groups), alignment="left")

    means = [f"{series} {group}: mean {x} {part[x].mean():.2f}, mean {y} {part[y].mean():.2f}, {len(part)} answers" for group, part in shown.groupby(series)]
    alt = f"Scatter plot of {y} against {x} on {len(shown)} answers. " + "; ".join(means) + "."
    return _figure(draw, name=name, caption=caption, alt=alt, data=shown, size=(5.8, 4.6))


def _quantile(words: dict[int, int], share: float) -> int:
    """The length that this share of rows does not exceed."""
    left = share * sum(words.values())
    for length in sorted(words):
        left -= words[length]
        if left <= 0:
            break
    return length


def _cut(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:28]}…"


def _figure(draw: Callable[..., None], *, name: str, caption: str, alt: str, data: pd.DataFrame, size: tuple[float, float], panels: int = 1) -> Figure:
    images = [_image(draw, theme, number, size, panels) for number, theme in enumerate(("light", "dark"))]
    return Figure(name=name, caption=caption, alt=alt, light=images[0], dark=images[1], csv=data.to_csv(index=False))


def _image(draw: Callable[..., None], theme: str, number: int, size: tuple[float, float], panels: int) -> str:
    ink, grid = _INK[theme], _GRID[theme]
    style = {
        "text.color": ink, "axes.labelcolor": ink, "xtick.color": ink, "ytick.color": ink, "axes.edgecolor": grid,
        "grid.color": grid, "axes.grid": True, "grid.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
        "axes.axisbelow": True, "font.size": 10.5, "figure.constrained_layout.use": True, "svg.hashsalt": "safetune",
    }  # fmt: skip
    with mpl.rc_context(style):
        canvas = Canvas(figsize=size)
        # One panel is drawn as an Axes, several as an array of them.
        draw(canvas.subplots(1, panels), number)
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def _bars(rows: pd.DataFrame, prefix: str = "") -> list[pd.Series]:
    """Distances from a share to its bounds, in per cent."""
    share, low, high = (rows[f"{prefix}{name}"] * 100 for name in ("share", "low", "high"))
    # Clipped: rounding can put a bound a hair on the wrong side of the share.
    return [(share - low).clip(lower=0), (high - share).clip(lower=0)]


def _percent(value: float) -> str:
    return "not scored" if math.isnan(value) else f"{value:.0%}".replace("%", " %")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
