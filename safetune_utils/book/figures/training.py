"""Figures about training: losses, and how time grows with size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from safetune_utils.book.figures.figure import Figure, make_figure, make_panels, records
from safetune_utils.book.figures.labels import EndLabel, label_ends
from safetune_utils.book.figures.palette import SEQUENCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def loss_curves(losses: pd.DataFrame, *, name: str, caption: str, of: str = "safety examples") -> Figure:
    """Validation loss against training steps, one line an adapter, seeds of an amount
    alike; lower is better.

    Args:
        losses: columns ``n_safety, seed, step, validation_loss`` (nats per token; missing where it was not
            measured).
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
        of: what the column ``n_safety`` counts.
    """
    measured = losses.dropna(subset=["validation_loss"])
    groups = list(measured.groupby(["n_safety", "seed"]))
    amounts = sorted(measured["n_safety"].unique())
    looks = {n: SEQUENCE[place % len(SEQUENCE)] for place, n in enumerate(amounts)}

    def draw(axes: Axes) -> None:
        for (n, _), rows in groups:
            axes.plot(
                rows["step"],
                rows["validation_loss"],
                color=looks[n].drawn,
                marker=looks[n].marker,
                markersize=4,
                linestyle=looks[n].line,
                linewidth=1.4,
                label=f"{n} {of}",
            )
        # One name for all seeds of an amount, at the middle of their ends.
        ends = {n: [rows["validation_loss"].iloc[-1] for (m, _), rows in groups if m == n] for n in amounts}
        labels = [EndLabel(f"{n} {of}", sum(at) / len(at), looks[n]) for n, at in ends.items()]
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("validation loss (nats a token)")
        # Lines of other lengths, and several to a name: none leads on to it.
        label_ends(axes, labels, lines=False)

    lines = [
        f"{n} {of}, seed {seed}: from {rows['validation_loss'].iloc[0]:.2f} "
        f"to {rows['validation_loss'].iloc[-1]:.2f}, lowest {rows['validation_loss'].min():.2f}"
        for (n, seed), rows in groups
    ]
    alt = "Line chart of the validation loss against training steps. " + "; ".join(lines) + "."
    height = max(3.2, 1.3 + 0.4 * len(amounts))
    return make_figure(draw, name=name, caption=caption, alt=alt, data=measured, height=height)


def growth(points: pd.DataFrame, *, name: str, caption: str) -> Figure:
    """Tokens a second over whatever was varied, one panel each.

    Args:
        points: columns ``what`` (training or answering), ``over`` (what was varied), ``at``,
            ``tokens_per_second``.
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
    """
    panels = list(dict.fromkeys(zip(points["what"], points["over"], strict=True)))

    def rows(panel: tuple[str, str]) -> pd.DataFrame:
        return points[(points["what"] == panel[0]) & (points["over"] == panel[1])].sort_values("at")

    def draw(axes: list[Axes]) -> None:
        for axis, panel in zip(axes, panels, strict=True):
            shown = rows(panel)
            axis.plot(
                shown["at"],
                shown["tokens_per_second"],
                color=SEQUENCE[0].drawn,
                marker="o",
                markersize=4,
                linewidth=1.4,
            )
            axis.set_xscale("log", base=2)
            axis.set_xticks(list(shown["at"]), [f"{n}" for n in shown["at"]])
            axis.minorticks_off()
            axis.set_ylim(0, shown["tokens_per_second"].max() * 1.15)
            axis.set_xlabel(panel[1])
            axis.set_title(panel[0])
            axis.set_ylabel("real tokens/s")

    lines = [
        f"{what} over {over}: "
        + ", ".join(f"{r.tokens_per_second:.0f} at {r.at}" for r in records(rows((what, over))))
        for what, over in panels
    ]
    alt = "Line charts of real tokens per second. " + "; ".join(lines) + "."
    return make_panels(
        draw,
        name=name,
        caption=caption,
        alt=alt,
        data=points,
        height=2.7,
        panels=len(panels),
    )
