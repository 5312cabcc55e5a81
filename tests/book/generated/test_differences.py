"""The table of differences from the paper: what the presets say, and all of it."""

from __future__ import annotations

from typing import Any

import pytest
from html_tables import rows_of

from safetune_utils.book.generated import differences
from safetune_utils.presets import resolve
from safetune_utils.settings import Settings

# Settings that change memory and not the mathematics, or nothing at all.
NO_DIFFERENCE = {"preset", "recipe.micro_batch_tokens", "decoding.batch_size"}


def flat(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.model_dump().items():
        inside = value.items() if isinstance(value, dict) else ()
        found |= {f"{name}.{entry}": one for entry, one in inside} or {name: value}
    return found


def test_every_setting_in_which_the_pocket_preset_differs_has_a_line() -> None:
    paper, repository, pocket = (flat(resolve(preset=name)) for name in ("paper", "repository", "pocket"))
    shown = {name for one in differences.DIFFERENCES for name in one.settings}
    apart = {name for name in pocket if not paper[name] == repository[name] == pocket[name]}
    assert apart - NO_DIFFERENCE <= shown <= set(pocket)


def test_values_are_those_of_the_presets_and_what_is_alike_is_left_out() -> None:
    heads, *rows = rows_of(differences.parts()["differences"])
    table = {row[0]: row[1:] for row in rows}
    assert table["learning rate"][1:] == ["0.0003", "0.002"]
    assert table["learning rate"][0].startswith("0.0001 by a third party's script")
    assert [cell.split()[0] for cell in table["rows in a batch"]] == ["128", "128", "8"]
    assert [cell.split()[0] for cell in table["epochs"]] == ["4", "3", "2"]
    assert [cell.split()[0] for cell in table["adapter's rank"]] == ["4", "8", "8"]
    assert "(Q4_1)" in table["its weights are held"][2]
    assert "its layers" not in table
    assert all(len(set(row[1:])) > 1 for row in rows)
    assert len(heads) == 4


@pytest.mark.parametrize(
    ("preset", "n_safety", "expected"),
    # 320 rows in batches of 8, twice; 323: 41 batches; 19,500 of 20,000 in batches of 128, four times.
    [("pocket", 0, 80), ("pocket", 3, 82), ("paper", 0, 612), ("paper", 2000, 672)],
)
def test_steps_are_counted_as_the_training_makes_them(preset: str, n_safety: int, expected: int) -> None:
    assert differences.steps(resolve(preset=preset), n_safety=n_safety) == expected
