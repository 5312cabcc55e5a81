"""A notebook's parameters are those of the schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safetune_utils.annotation.drafting import Drafting
from safetune_utils.book import parameters
from safetune_utils.scoring.train import ScorerTraining
from safetune_utils.settings import Settings

ALL = sorted(parameters.folder().glob("*.ipynb"))


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.stem)
def test_the_parameters_cell_is_held_to_the_schema(path: Path) -> None:
    found = parameters.parameters(path)
    schema = {"09_building_safety_data": Drafting, "11_harmfulness_model": ScorerTraining}.get(
        path.stem, Settings
    )
    assert set(found) == set(schema.model_fields)
    for name, entry in found.items():
        annotation = str(schema.model_fields[name].annotation)
        assert entry["help"], f"{name} has no comment"
        expected = dict.fromkeys(("recipe", "mixing", "decoding"), "dict").get(name)
        for kind in ("list", "int", "float", "str"):
            if expected is None and (kind in annotation or "Literal" in annotation):
                expected = "str" if "Literal" in annotation and "list" not in annotation else kind
        assert entry["inferred_type_name"].startswith(expected), name
    default = {"mode": "replay"} if schema is Drafting else {"preset": "pocket"}
    assert parameters.validate(path, {}) == parameters.validate(path, default)


def test_values_from_the_command_line() -> None:
    values = {
        "[0, 100]": [0, 100],
        "null": None,
        "None": None,
        "embedded": "embedded",
        "3": 3,
        '{"epochs": 1}': {"epochs": 1},
    }
    assert {text: parameters.parse_value(text) for text in values} == values
    assert json.dumps(values["[0, 100]"]) == "[0, 100]"
