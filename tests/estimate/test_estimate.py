"""An estimate of a mistaken study is one line with its mend."""

from __future__ import annotations

from pathlib import Path

import architectures
import pytest

from safetune_utils.errors import SafetuneError
from safetune_utils.estimate.estimate import estimate
from safetune_utils.estimate.hardware import Hardware
from safetune_utils.models.architecture import targets_of
from safetune_utils.presets import resolve


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"safety_amounts": [9000]}, "249 safety rows"),
        (
            {"base_model": "tiiuae/falcon-7b", "recipe": {"target_modules": ["q_proj"]}},
            "['q_proj'] are not layers of this model: choose from query_key_value",
        ),
        ({"data": "no/such/folder"}, "a folder that exists"),
        ({"data": "nobody/nothing"}, "a folder that exists"),
        (
            {"data": "paper", "n_general": 10, "recipe": {"validation": "from_mix"}},
            "the mix has 10 rows: choose fewer",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_mend(given: dict, needed: str, cpu: Hardware) -> None:
    with pytest.raises(SafetuneError) as caught:
        estimate(settings=resolve(**given), hardware=cpu)
    assert needed in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(SafetuneError, match="'embedded' has no prompt set 'hateful'"):
        estimate(settings=resolve(), hardware=cpu, prompt_sets=["hateful"])


@pytest.mark.parametrize("name", ["gpt2", "mamba", "mixtral", "rwkv"])
def test_layers_of_another_kind_are_counted_with_memory_and_time(
    name: str, tmp_path: Path, cpu: Hardware
) -> None:
    folder = architectures.save(architectures.tiny(name), tmp_path / name)
    settings = resolve(base_model=str(folder), safety_amounts=[50])
    found = estimate(settings=settings, hardware=cpu, prompt_sets=["ordinary"])
    assert found["verdict"].startswith("fits: ")
    assert found["time"]["study"] > 0
    targets = ", ".join(targets_of(architectures.tiny(name)))
    assert f"an adapter is put on {targets}, as PEFT does on {name}" in found["assumed"]
    assert found["parameters"]["adapter"] > 0
