"""What the outputs of an executed notebook hold: the values that it recorded, its figures, its tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from safetune_utils.book.notebook_file import read_notebook
from safetune_utils.book.prose import Value
from safetune_utils.errors import SafetuneError
from safetune_utils.places import safe_name
from safetune_utils.statistics import Estimate


class DrawnFigure(NamedTuple):
    """A figure as it stands in an output.

    Attributes:
        markup: HTML.
        csv: the numbers behind it.
    """

    markup: str
    csv: str


def values(executed: Path) -> dict[str, Value]:
    """The values that an executed notebook recorded, by their names."""
    return {
        name: Estimate.from_data(value) if isinstance(value, dict) else value
        for _, about in _outputs(executed)
        for name, value in about.get("values", [])
    }


def values_csv(executed: Path) -> str:
    """The values that a notebook's sentences name, as CSV: a number with its interval, or words."""
    rows = [
        {"name": name, "value": value.value, "low": value.low, "high": value.high, "n": value.n}
        if isinstance(value, Estimate)
        else {"name": name, "value": value}
        for name, value in values(executed).items()
    ]
    written = io.StringIO()
    writer = csv.DictWriter(written, ["name", "value", "low", "high", "n"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def controls(executed: Path) -> list[dict[str, Any]]:
    """The negative controls that an executed notebook recorded."""
    return [row for _, about in _outputs(executed) for row in about.get("controls", [])]


def drawn(executed: Path) -> dict[str, DrawnFigure]:
    """The figures of an executed notebook by their names, which can name files.

    Raises:
        SafetuneError: a figure does not hold its numbers.
    """
    found = {}
    for output, about in _outputs(executed):
        if "figure" in about:
            if "csv" not in about:
                raise SafetuneError(f"{executed} is of an older version of this package: run it again")
            found[safe_name(about["figure"])] = DrawnFigure(output.data["text/html"], about["csv"])
    return found


def dials(executed: Path) -> dict[str, str]:
    """The dose dials of an executed notebook by their names, as HTML."""
    return {
        about["dial"]: output.data["text/html"] for output, about in _outputs(executed) if "dial" in about
    }


def numbers(executed: Path) -> dict[str, str]:
    """The numbers behind each figure, and behind each table that is published, as CSV by their names.

    Raises:
        SafetuneError: a figure does not hold its numbers.
    """
    tables = {safe_name(about["table"]): about["csv"] for _, about in _outputs(executed) if "table" in about}
    return {name: figure.csv for name, figure in drawn(executed).items()} | tables


def _outputs(executed: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each output with what our metadata says about it."""
    for cell in read_notebook(executed).cells:
        for output in cell.outputs:
            yield output, output.metadata.get("safetune", {})
