"""Parameters: presets, merging, and one line for each mistake."""

from __future__ import annotations

import pytest

from safetune_utils.errors import SafetuneError
from safetune_utils.settings import PRESETS, resolve


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_resolves(preset: str) -> None:
    assert resolve(preset=preset).preset == preset


def test_parameters_are_laid_over_the_preset_and_none_keeps_it() -> None:
    settings = resolve(preset="paper", recipe={"epochs": 1}, data=None, seeds=[3, 1])
    assert (settings.data, settings.recipe.epochs, settings.recipe.batch_size) == ("paper", 1, 128)
    assert settings.seeds == [1, 3]


@pytest.mark.parametrize(
    ("parameters", "needed"),
    [
        ({"preset": "huge"}, ["preset", "'huge'", "pocket"]),
        ({"safety_amount": [0]}, ["unknown", "safety_amount", "safety_amounts"]),
        ({"recipe": {"learning_rat": 1e-3}}, ["recipe.learning_rat", "'learning_rate'"]),
        ({"safety_amounts": "100"}, ["safety_amounts", "'100'", "list"]),
        ({"safety_amounts": [0, -5]}, ["safety_amounts", "-5", "greater than or equal to 0"]),
        ({"safety_amounts": [50, 50]}, ["safety_amounts", "only once"]),
        ({"safety_amounts": []}, ["safety_amounts"]),
        ({"n_general": 10.5}, ["n_general", "10.5", "integer"]),
        ({"recipe": {"learning_rate": 5.0}}, ["recipe.learning_rate", "5.0", "less than or equal to 0.1"]),
        ({"safety_format": "poem"}, ["safety_format", "'poem'", "question"]),
        ({"seeds": [True]}, ["seeds", "True"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it_and_its_mend(parameters: dict, needed: list[str]) -> None:
    with pytest.raises(SafetuneError) as caught:
        resolve(**parameters)
    message = str(caught.value)
    assert "\n" not in message
    for word in needed:
        assert word in message
