"""What every figure is made of: one drawing in light and dark, its alt text, its caption and its CSV."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

# Colour-blind safe (after Okabe and Ito), one pair (light, dark) and one marker a prompt set, so that no line
# is told apart by colour alone.
INK = {"light": "#1f2328", "dark": "#e6edf3"}
GRID = {"light": "#d0d7de", "dark": "#3d444d"}
LOOKS: dict[str, tuple[str, str, str, str]] = {
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
SEQUENCE = [("#0b5cad", "#79b8ff", "o"), ("#b3400a", "#ff9d5c", "s"), ("#0a6b58", "#4fd1b5", "^"),
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
        # The images stand in a box of their own: the theme hides captions that are siblings of a hidden
        # image.
        images = "".join(
            f'<img class="only-{theme}" alt="{html.escape(self.alt, quote=True)}" src="data:image/svg+xml;base64,{_base64(image)}">'
            for theme, image in (("light", self.light), ("dark", self.dark))
        )
        caption = f"{html.escape(self.caption)} ({csv_link(self.name, self.csv)})"
        return f'{_STYLE}<figure class="safetune-figure" id="figure-{self.name}"><div>{images}</div><figcaption>{caption}</figcaption></figure>'

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        # The name in the metadata lets the book put the same figure on its welcome page.
        return {"text/html": self._repr_html_(), "text/plain": self.alt}, {"safetune": {"figure": self.name}}


def csv_link(name: str, csv: str) -> str:
    """A link that holds a CSV file inside itself, to stand in a caption; ``name`` is the file's, of plain
    letters.
    """
    return f'<a download="{name}.csv" href="data:text/csv;base64,{_base64(csv)}">the numbers, as CSV</a>'


def panels(table: pd.DataFrame, *, name: str, caption: str, x: str = "n_safety") -> Figure:
    """Several measures against the amount of safety data, one panel each, with 95 % intervals. Each panel has
    a scale of its own.

    Args:
        table: columns ``measure`` (its name with its unit), ``x``, ``value``, ``low``, ``high``, in the order
            to show.
    """
    measures = list(dict.fromkeys(table["measure"]))

    def draw(axes: Axes | list[Axes], theme: int) -> None:
        for place, (axis, measure) in enumerate(
            zip([axes] if len(measures) == 1 else axes, measures, strict=True)
        ):
            rows = table[table["measure"] == measure].sort_values(x)
            bars = [(rows["value"] - rows["low"]).clip(lower=0), (rows["high"] - rows["value"]).clip(lower=0)]
            look = SEQUENCE[place % len(SEQUENCE)]
            axis.errorbar(
                rows[x],
                rows["value"],
                yerr=bars,
                color=look[theme],
                marker=look[2],
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
            for r in rows.sort_values(x).itertuples()
        )
        for measure, rows in table.groupby("measure", sort=False)
    ]
    alt = "Line charts over the number of safety examples, with intervals. " + "; ".join(lines) + "."
    return make_figure(
        draw,
        name=name,
        caption=caption,
        alt=alt,
        data=table,
        size=(3.1 * len(measures) + 0.4, 3.2),
        panels=len(measures),
    )


def shorten(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:28]}…"


def make_figure(
    draw: Callable[..., None],
    *,
    name: str,
    caption: str,
    alt: str,
    data: pd.DataFrame,
    size: tuple[float, float],
    panels: int = 1,
) -> Figure:
    images = [_image(draw, theme, number, size, panels) for number, theme in enumerate(("light", "dark"))]
    return Figure(
        name=name, caption=caption, alt=alt, light=images[0], dark=images[1], csv=data.to_csv(index=False)
    )


def _image(draw: Callable[..., None], theme: str, number: int, size: tuple[float, float], panels: int) -> str:
    ink, grid = INK[theme], GRID[theme]
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


def error_bars(rows: pd.DataFrame, prefix: str = "") -> list[pd.Series]:
    """Distances from a share to its bounds, in per cent."""
    share, low, high = (rows[f"{prefix}{name}"] * 100 for name in ("share", "low", "high"))
    # Clipped: rounding can put a bound a hair on the wrong side of the share.
    return [(share - low).clip(lower=0), (high - share).clip(lower=0)]


def percent(value: float) -> str:
    return "not scored" if math.isnan(value) else f"{value:.0%}".replace("%", " %")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
