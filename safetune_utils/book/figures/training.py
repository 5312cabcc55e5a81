"""Figures about training: losses, and how time grows with size."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from safetune_utils.book.figures.figure import SEQUENCE, Figure, make_figure, make_panels, records


def loss_curves(losses: pd.DataFrame, *, name: str, caption: str, of: str = "safety examples") -> Figure:
    """Validation loss against training steps, one line an adapter; lower is better.

    Args:
        losses: columns ``n_safety, seed, step, validation_loss`` (nats per token; missing where it was not
            measured).
        name: the figure's name, also that of its CSV file.
        caption: what stands below it.
        of: what the column ``n_safety`` counts.
    """
    measured = losses.dropna(subset=["validation_loss"])
    groups = list(measured.groupby(["n_safety", "seed"]))

    def draw(axes: Axes, theme: int) -> None:
        for place, ((n, seed), rows) in enumerate(groups):
            look = SEQUENCE[place % len(SEQUENCE)]
            label = f"{n} {of}" + (f", seed {seed}" if measured["seed"].nunique() > 1 else "")
            axes.plot(
                rows["step"],
                rows["validation_loss"],
                color=look[theme],
                marker=look.marker,
                linewidth=1.6,
                label=label,
            )
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("validation loss (nats a token)")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)

    lines = [
        f"{n} {of}, seed {seed}: from {rows['validation_loss'].iloc[0]:.2f} "
        f"to {rows['validation_loss'].iloc[-1]:.2f}, lowest {rows['validation_loss'].min():.2f}"
        for (n, seed), rows in groups
    ]
    alt = "Line chart of the validation loss against training steps. " + "; ".join(lines) + "."
    return make_figure(draw, name=name, caption=caption, alt=alt, data=measured, size=(7.6, 3.4))


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

    def draw(axes: list[Axes], theme: int) -> None:
        for place, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
            shown = rows(panel)
            axis.plot(
                shown["at"],
                shown["tokens_per_second"],
                color=SEQUENCE[0][theme],
                marker="o",
                markersize=4,
                linewidth=1.4,
            )
            axis.set_xscale("log", base=2)
            axis.set_xticks(list(shown["at"]), [f"{n}" for n in shown["at"]])
            axis.minorticks_off()
            axis.set_ylim(0, shown["tokens_per_second"].max() * 1.15)
            axis.set_xlabel(panel[1])
            axis.set_title(panel[0], fontsize=10.5)
            if place == 0:
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
        size=(2.5 * len(panels), 2.9),
        panels=len(panels),
    )
