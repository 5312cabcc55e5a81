"""Parameters of an architecture, counted exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, FalconConfig, LlamaConfig, PreTrainedConfig, Qwen2Config

from safetune_utils.models.architecture import KNOWN, architecture_of, from_config, parameters

CONFIGS = {
    "embedded": LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    ),
    "huggyllama/llama-7b": LlamaConfig(
        vocab_size=32000,
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
    ),
    "huggyllama/llama-13b": LlamaConfig(
        vocab_size=32000,
        hidden_size=5120,
        intermediate_size=13824,
        num_hidden_layers=40,
        num_attention_heads=40,
    ),
    "tiiuae/falcon-7b": FalconConfig(
        vocab_size=65024,
        hidden_size=4544,
        num_hidden_layers=32,
        num_attention_heads=71,
        multi_query=True,
        bias=False,
    ),
}


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
