"""An estimate of a mistaken study is one line with its mend."""

from __future__ import annotations

import pytest

from safetune_utils.errors import SafetuneError
from safetune_utils.estimate.estimate import estimate
from safetune_utils.estimate.hardware import Hardware
from safetune_utils.presets import resolve


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"safety_amounts": [9000]}, "249 safety rows"),
        ({"base_model": "tiiuae/falcon-7b"}, "choose from query_key_value"),
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
