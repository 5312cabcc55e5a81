"""The rooms of the package stand on floors, and a lower room never imports a higher one."""

from __future__ import annotations

import ast
from pathlib import Path

import safetune_utils

PACKAGE = Path(safetune_utils.__file__).parent

FLOORS = {
    "errors": 0,
    "settings": 1, "prompts": 1, "stats": 1, "standalone": 1,
    "data": 2, "models": 2, "records": 2, "rewriting": 1, "chat": 3, "review": 2, "prompt_files": 3, "drafting": 4,
    "mixtures": 3, "decoding": 2, "vllm_engine": 2, "generate": 3, "scoring": 3, "packing": 1, "parallel": 1,
    "finetune": 4, "capability": 3, "reference_loss": 5,
    "study": 5, "figures": 5, "estimate": 5, "cards": 3, "shapes": 2,
    "instruments": 4, "scorer_training": 5, "instrument_cards": 6,
    "costs": 6, "pages": 6, "notebooks": 6, "checkup": 6, "datacards": 6, "speeds": 6, "outcomes": 6, "provenance": 6, "verdicts": 6, "compare": 6,
    "site": 7,
    "cli": 8, "__main__": 9,
}  # fmt: skip


def imported(path: Path) -> set[str]:
    """The rooms that a module imports, whether at its head or inside a function."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "safetune_utils":
            parts = node.module.split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return rooms


def test_every_module_has_a_floor_and_imports_none_above_it() -> None:
    seen = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if room == "__init__":
            assert imported(path) == set()
            continue
        seen.add(room)
        above = {other for other in imported(path) if FLOORS[other] > FLOORS[room]}
        assert not above, f"{room} imports {above}"
    assert seen == set(FLOORS)
