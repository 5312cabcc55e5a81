"""The memory that a study takes, and what makes it fit."""

from __future__ import annotations

import shlex

import pytest

from safetune_utils.book.parameters import parse_value
from safetune_utils.estimate.estimate import estimate
from safetune_utils.presets import resolve


@pytest.mark.usefixtures("nothing_at_hand")
def test_fewer_bits_take_less_memory_and_smaller_parts_too() -> None:
    def needs(**given: object) -> dict[str, float]:
        return estimate(settings=resolve(preset="paper", **given), hardware="A100-80")["memory"]["totals"]

    none, int8, nf4 = (needs(quantization=name) for name in ("none", "int8", "nf4"))
    for step in ("training", "answering"):
        assert nf4[step] < int8[step] < none[step]
    assert needs(recipe={"micro_batch_tokens": 1024})["training"] < int8["training"]
    assert needs(decoding={"batch_size": 4})["answering"] < int8["answering"]
    assert needs(decoding={"num_beams": 1})["answering"] < int8["answering"]


@pytest.mark.usefixtures("nothing_at_hand")
def test_the_memory_is_close_to_a_published_one() -> None:
    # 8.71 GiB by nvidia-smi: LLaMA-7B, int8, 4 rows of 256 tokens (Sparsebit, alpaca-qlora's README).
    settings = resolve(preset="repository", recipe={"micro_batch_tokens": 1024, "batch_size": 4})
    assert estimate(settings=settings, hardware="RTX-3090")["memory"]["totals"]["training"] == pytest.approx(
        8.71 * 2**30, rel=0.15
    )


@pytest.mark.usefixtures("nothing_at_hand")
@pytest.mark.parametrize(
    ("given", "hardware", "mend"),
    [
        ({"base_model": "huggyllama/llama-13b", "quantization": "none"}, "T4", "-p quantization nf4"),
        ({"quantization": "nf4", "decoding": {"batch_size": 64}}, "T4", '-p decoding \'{"batch_size": '),
        (
            {"quantization": "nf4", "recipe": {"micro_batch_tokens": 16384}},
            "T4",
            '-p recipe \'{"micro_batch_tokens": ',
        ),
        ({"quantization": "nf4", "recipe": {"max_length": 32768}}, "T4", "--hardware A100-80"),
    ],
)
def test_what_does_not_fit_names_a_mend_that_fits(given: dict, hardware: str, mend: str) -> None:
    found = estimate(settings=resolve(preset="paper", **given), hardware=hardware)
    assert not found["memory"]["fits"]
    assert found["verdict"].startswith("does not fit: ")
    assert mend in found["verdict"]
    assert "\n" not in found["verdict"]
    words = shlex.split(found["memory"]["mend"])
    if words[0] == "--hardware":
        hardware = words[1]
    for name, value in zip(words[1::3], words[2::3], strict=False):  # -p NAME VALUE
        changed = parse_value(value)
        given = given | {name: given.get(name, {}) | changed if isinstance(changed, dict) else changed}
    assert estimate(settings=resolve(preset="paper", **given), hardware=hardware)["memory"]["fits"]


@pytest.mark.usefixtures("nothing_at_hand")
def test_what_fits_nowhere_is_said_so() -> None:
    found = estimate(settings=resolve(preset="paper", recipe={"max_length": 65536}), hardware="T4")
    assert found["verdict"].endswith("try a smaller --base, or a smaller max_length in -p recipe")
