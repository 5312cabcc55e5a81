"""Parameters of an architecture, counted exactly, and the layers that an adapter goes on."""

from __future__ import annotations

from pathlib import Path

import architectures
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, FalconConfig, LlamaConfig, PreTrainedConfig, Qwen2Config

from safetune_utils.models.architecture import KNOWN, architecture_of, from_config, parameters, targets_of

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


# The layers that get an adapter where none are named, where they are not q_proj and v_proj.
TARGETS = {
    "bloom": ["query_key_value"],
    "codegen": ["qkv_proj"],
    "deepseek_v3": ["kv_a_proj_with_mqa", "kv_b_proj", "o_proj", "q_a_proj", "q_b_proj"],
    "falcon": ["query_key_value"],
    "falcon_mamba": ["in_proj"],
    "gpt2": ["c_attn"],
    "gpt_bigcode": ["c_attn"],
    "gpt_neox": ["query_key_value"],
    "mamba": ["in_proj"],
    "mamba2": ["in_proj"],
    "mpt": ["Wqkv"],
    "persimmon": ["query_key_value"],
    "phi": ["q_proj", "v_proj", "fc1", "fc2"],
    "phi3": ["qkv_proj"],
    "rwkv": ["key", "value", "receptance", "output"],
}


@pytest.mark.parametrize("name", architectures.NAMES)
def test_every_architecture_is_counted_with_an_adapter_on_layers_that_it_has(name: str) -> None:
    model = architectures.tiny(name)
    shape = from_config(model.config)
    assert shape.default_targets == targets_of(model) == TARGETS.get(name, ["q_proj", "v_proj"])
    found = parameters(shape, rank=3, target_modules=shape.default_targets)
    assert found["total"] == sum(p.numel() for p in model.parameters())
    # What is in no matrix are norms and biases, and the embeddings of positions.
    assert 0 <= found["others"] <= 0.05 * found["total"] + architectures.POSITIONS * 65
    adapted = get_peft_model(model, LoraConfig(r=3, target_modules=shape.default_targets))
    assert found["adapter"] == sum(p.numel() for p in adapted.parameters() if p.requires_grad)


def test_the_presets_models_have_the_layers_that_they_always_had() -> None:
    found = {name: shape.default_targets for name, shape in KNOWN.items()}
    assert found.pop("tiiuae/falcon-7b") == ["query_key_value"]
    assert set(map(tuple, found.values())) == {("q_proj", "v_proj")}
