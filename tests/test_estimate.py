"""The estimate: parameters counted exactly, memory and time that go the right way, one line where something
does not fit.

Whether times come out as predicted is for measured runs to say; here are only counts, order and proportion.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, FalconConfig, LlamaConfig, PreTrainedConfig, Qwen2Config

from safetune_utils.book.parameters import parse_value
from safetune_utils.errors import SafetuneError
from safetune_utils.estimate import hardware
from safetune_utils.estimate.estimate import estimate
from safetune_utils.estimate.hardware import HARDWARE, Hardware, card_named, hardware_of
from safetune_utils.estimate.report import table
from safetune_utils.models.architecture import KNOWN, architecture_of, from_config, parameters
from safetune_utils.presets import PRESETS, resolve

CPU = Hardware(name="a CPU", kind="cpu", half=1.0, fp32=0.5, memory=16, bandwidth=20)

CONFIGS = {
    "embedded": LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True,
    ),
    "huggyllama/llama-7b": LlamaConfig(vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32),
    "huggyllama/llama-13b": LlamaConfig(vocab_size=32000, hidden_size=5120, intermediate_size=13824, num_hidden_layers=40, num_attention_heads=40),
    "tiiuae/falcon-7b": FalconConfig(vocab_size=65024, hidden_size=4544, num_hidden_layers=32, num_attention_heads=71, multi_query=True, bias=False),
}  # fmt: skip


@pytest.fixture
def nothing_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither outside data nor a converted model, so that tokens are assumed."""
    monkeypatch.setenv("SAFETUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SAFETUNE_MIRROR", raising=False)


def counted(config: PreTrainedConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())


def adapter_size(config: PreTrainedConfig, rank: int, targets: list[str]) -> int:
    with torch.device("meta"):
        layers = [
            m
            for name, m in AutoModelForCausalLM.from_config(config).named_modules()
            if name.rsplit(".", 1)[-1] in targets
        ]
    return sum(rank * (m.in_features + m.out_features) for m in layers)


@pytest.mark.parametrize("name", KNOWN)
def test_the_known_models_have_exactly_the_parameters_of_the_built_ones(name: str) -> None:
    config = CONFIGS[name]
    targets = ["query_key_value"] if "falcon" in name else ["q_proj", "v_proj"]
    found = parameters(KNOWN[name], rank=4, target_modules=targets)
    assert found["total"] == counted(config)
    assert found["adapter"] == adapter_size(config, 4, targets)
    built = from_config(config)
    assert parameters(built, rank=4, target_modules=targets) == found
    same = (
        "layers",
        "hidden",
        "intermediate",
        "heads",
        "kv_heads",
        "head_size",
        "vocabulary",
        "tied",
        "gated",
        "others",
    )
    assert [getattr(built, field) for field in same] == [getattr(KNOWN[name], field) for field in same]


def test_the_published_sizes() -> None:
    assert parameters(KNOWN["huggyllama/llama-7b"])["total"] == 6_738_415_616
    assert parameters(KNOWN["huggyllama/llama-13b"])["total"] == 13_015_864_320
    assert parameters(KNOWN["tiiuae/falcon-7b"])["total"] == 6_921_720_704
    assert parameters(KNOWN["embedded"], rank=8, target_modules=["q_proj", "v_proj"])["adapter"] == 460_800


def test_a_model_with_biases_is_counted_from_its_folder(tmp_path: Path) -> None:
    config = Qwen2Config(
        vocab_size=1000,
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    config.save_pretrained(tmp_path)
    shape = architecture_of(str(tmp_path))
    assert parameters(shape)["total"] == counted(config)
    assert (shape.kv_heads, shape.head_size, shape.gated) == (2, 16, True)


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
    ("hardware", "hours"),
    [
        ("RTX-4090", 5.0),
        (
            Hardware(name="2080 Ti", kind="gpu", half=53.8, fp32=13.4, memory=11, bandwidth=616, bf16=False),
            14.25,
        ),
    ],
)
def test_the_hours_are_close_to_published_ones(hardware: str | Hardware, hours: float) -> None:
    # LLaMA-7B, int8, 3 epochs of the 52,000 Alpaca rows less 2,000 (the READMEs of alpaca-lora and of
    # Sparsebit's alpaca-qlora).
    found = estimate(
        settings=resolve(preset="repository", n_general=52_000, safety_amounts=[0]), hardware=hardware
    )
    assert found["time"]["adapters"][0]["training"] / 3600 == pytest.approx(hours, rel=0.25)


@pytest.mark.usefixtures("nothing_at_hand")
@pytest.mark.parametrize("hardware", [CPU, "T4"])
def test_training_time_is_in_proportion_to_rows_and_epochs(hardware: str | Hardware) -> None:
    def seconds(**given: object) -> dict[str, float]:
        return estimate(
            settings=resolve(data="paper", n_general=300, safety_amounts=[0], **given), hardware=hardware
        )["time"]["adapters"][0]

    once, longer = seconds(), seconds(recipe={"epochs": 6})
    larger = estimate(settings=resolve(data="paper", n_general=900, safety_amounts=[0]), hardware=hardware)[
        "time"
    ]["adapters"][0]
    assert larger["training"] == pytest.approx(3 * once["training"])
    assert longer["training"] == pytest.approx(3 * once["training"])
    assert longer["validating"] == pytest.approx(once["validating"])
    assert seconds(recipe={"evaluations": 8})["validating"] == pytest.approx(2 * once["validating"])


@pytest.mark.usefixtures("nothing_at_hand")
def test_the_study_is_the_sum_of_its_adapters() -> None:
    one = estimate(settings=resolve(preset="course", safety_amounts=[100]), hardware="T4")["time"]
    four = estimate(
        settings=resolve(preset="course", safety_amounts=[100], seeds=[0, 1, 2, 3]), hardware="T4"
    )["time"]
    assert four["study"] == pytest.approx(4 * one["study"])
    assert four["answering"] == one["answering"] > 0


def test_answering_takes_longer_with_beams_with_more_tokens_and_for_more_prompts() -> None:
    def seconds(sets: list[str] | None = None, **decoding: int) -> float:
        return estimate(settings=resolve(decoding=decoding), hardware=CPU, prompt_sets=sets)["time"][
            "answering"
        ]

    assert seconds() < seconds(num_beams=4)
    assert seconds() < seconds(max_new_tokens=128)
    assert seconds(["malicious"]) < seconds(["malicious", "ordinary"]) < seconds()


def test_rows_and_prompts_of_the_embedded_data_are_counted() -> None:
    found = estimate(settings=resolve(), hardware=CPU)
    assert found["prompts"]["sets"]["malicious"] == 98
    assert [entry["rows"] for entry in found["time"]["adapters"]] == [320, 345, 370, 420, 520]
    # As in the records of runs with these settings.
    assert [entry["validation_rows"] for entry in found["time"]["adapters"]] == [40, 44, 47, 53, 65]
    assert estimate(settings=resolve(max_prompts=6), hardware=CPU)["prompts"]["sets"]["malicious"] == 6


@pytest.mark.usefixtures("nothing_at_hand")
def test_what_is_not_at_hand_is_said_to_be_assumed() -> None:
    found = estimate(settings=resolve(preset="paper"), hardware="A100-40")
    assert found["rows"]["counted"] == found["prompts"]["counted"] == []
    assert sum("not at hand" in line for line in found["assumed"]) == 3
    assert found["prompts"]["sets"]["lookalikes_safe"] == 250
    assert [entry["rows"] for entry in found["time"]["adapters"]] == [
        n + 19_500 for n in (0, 100, 300, 500, 1000, 1500, 2000)
    ]


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


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.usefixtures("nothing_at_hand")
def test_every_preset_gives_a_table_and_plain_data(preset: str) -> None:
    found = estimate(settings=resolve(preset=preset), hardware="A100-40")
    assert found["verdict"].startswith("fits: ")
    assert json.loads(json.dumps(found)) == found
    assert {"base model", "memory, training", "time, the study", "disk"} <= {
        row["what"] for row in table(found)
    }


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
def test_a_mistake_is_one_line_with_its_mend(given: dict, needed: str) -> None:
    with pytest.raises(SafetuneError) as caught:
        estimate(settings=resolve(**given), hardware=CPU)
    assert needed in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(SafetuneError, match="'embedded' has no prompt set 'hateful'"):
        estimate(settings=resolve(), hardware=CPU, prompt_sets=["hateful"])


def test_cards_go_by_their_names() -> None:
    assert hardware_of("rtx 4090") is HARDWARE["RTX-4090"]
    with pytest.raises(SafetuneError, match="did you mean 'A100-40'"):
        hardware_of("A100-4")
    for device, memory, name in [
        ("Tesla T4", 15.8, "T4"), ("NVIDIA A100-SXM4-40GB", 42.3, "A100-40"), ("NVIDIA A100 80GB PCIe", 85.0, "A100-80"),
        ("NVIDIA GeForce RTX 3090", 25.4, "RTX-3090"), ("Tesla V100-SXM2-16GB", 16.9, "V100-16"), ("NVIDIA L4", 23.6, "L4"),
    ]:  # fmt: skip
        assert card_named(device, memory) is HARDWARE[name]
    assert card_named("NVIDIA L40S", 47.7) is None
    assert card_named("NVIDIA A10", 23.7) is None


def test_this_machine_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_times_a_second", lambda work, device: 500.0)
    hardware.measured_hardware.cache_clear()
    found = hardware_of("this-machine")
    hardware.measured_hardware.cache_clear()
    assert (found.kind, found.half, found.fp32) == (
        "cpu",
        pytest.approx(2 * 1024**3 * 500 / 1e12),
        pytest.approx(2 * 1024**3 * 500 / 1e12),
    )
    assert found.bandwidth == pytest.approx(2 * 2**28 * 500 / 1e9)
    assert found.memory > 0.5


def test_the_command_prints_plain_data_and_one_line_for_a_wrong_card() -> None:
    def safetune(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "safetune_utils", "estimate", *arguments],
            capture_output=True,
            text=True,
            timeout=300,
        )

    answer = safetune("--preset", "smoke", "--hardware", "T4", "-p", "safety_amounts", "[0]", "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["parameters"]["total"] == 134_515_008
    wrong = safetune("--hardware", "A100-4")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.splitlines()[-1].startswith(
        "safetune: unknown hardware 'A100-4': did you mean 'A100-40'"
    )


def test_contrast_rows_are_counted_and_a_guard_makes_prompts_longer() -> None:
    def found(**given: object) -> dict:
        return estimate(
            settings=resolve(safety_amounts=[50], **given), hardware=CPU, prompt_sets=["malicious"]
        )

    plain, more = (
        found(),
        found(mixing={"n_contrast": 100, "topics_left_out": ["drugs"], "choice": "hardest"}),
    )
    one, other = (result["time"]["adapters"][0] for result in (plain, more))
    assert (one["rows"], other["rows"]) == (370, 470)
    tokens = 2 * sum(
        n * more["rows"]["tokens"][kind] for kind, n in (("general", 320), ("safety", 50), ("contrast", 100))
    )
    assert other["tokens"] == pytest.approx(tokens)
    assert other["training"] > one["training"]
    assert "contrast" not in plain["rows"]["tokens"]
    with pytest.raises(SafetuneError, match="n_contrast is 111"):
        found(mixing={"n_contrast": 111})
    guarded = found(decoding={"guard": "Think before you answer this."})
    if plain["prompts"]["counted"]:  # else the tokenizer is not at hand, and lengths are assumed
        assert guarded["prompts"]["longest"] > plain["prompts"]["longest"]
