"""The page on models: what the book does with each architecture, beside transformers and PEFT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from safetune_utils import places
from safetune_utils.book.markup import Cell, Row, Text, block, paragraph, table

_COLUMNS = (
    "architecture",
    "loss",
    "gradient",
    "greedy",
    "batch",
    "beams",
    "adapter",
    "save and load",
    "layers of the adapter",
)


def parts() -> dict[str, str]:
    """What the page includes, by name, as Markdown."""
    found = places.results("architectures")
    rows = [_row(row, found["prompts"]) for row in found["rows"]]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    told = f"{len(rows)} architectures, random weights, fp32; {found['machine']['processor']}, {versions}."
    return {"architectures": block(table(_COLUMNS, rows, wide=True), paragraph(told))}


def _row(row: dict[str, Any], n: int) -> Row:
    trained, said, beams, adapter = (row[part] for part in ("training", "answers", "beams", "adapter"))
    return (
        row["architecture"],
        _cell(trained, lambda: Cell(_share(trained["loss"]), below=trained["way"])),
        _cell(trained, lambda: _share(trained["gradient"])),
        _cell(said, lambda: f"{said['greedy']} of {n}"),
        _cell(said, lambda: Cell(f"{said['batch']} of {n}", below=said["way"])),
        _cell(beams, lambda: Cell(_share(beams["difference"]), below=beams["way"])),
        _cell(
            adapter,
            lambda: Cell(_share(adapter["difference"]), below="merged" if adapter["merged"] else "apart"),
        ),
        _cell(row["save_and_load"], lambda: _share(row["save_and_load"])),
        _cell(trained, lambda: ", ".join(trained["layers"])),
    )


def _cell(part: Any, shown: Callable[[], Text | Cell]) -> Text | Cell:
    """What a part of a row shows, or why it could not be computed."""
    return Cell("refused", below=part["error"]) if isinstance(part, dict) and "error" in part else shown()


def _share(difference: float) -> str:
    return f"{difference:.0e}" if difference else "0"
