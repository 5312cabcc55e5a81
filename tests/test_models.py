"""Base models: the embedded one is what its file says, and nothing unsafe is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import tiny_llama
from peft import LoraConfig, get_peft_model
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

from safetune_utils.errors import SafetuneError
from safetune_utils.models.base_model import identity, load_adapter, load_base
from safetune_utils.models.embedded import gguf_path, read_gguf
from safetune_utils.study import responses
from safetune_utils.study.design import state
from safetune_utils.study.run import run
from safetune_utils.study.study import Study

TEXTS = [
    "The capital of France is",
    "### Instruction:\nName three fruits.\n\n### Response:\n",
    "Water boils at",
]


@pytest.mark.slow
def test_the_cached_copy_gives_the_logits_of_the_gguf_file(embedded) -> None:
    copy, tokenizer = embedded
    original, _ = read_gguf(gguf_path())
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            a, b = original(ids).logits[0].log_softmax(-1), copy(ids).logits[0].log_softmax(-1)
        # The copy's weights are rounded to bf16, so the two agree closely and not exactly.
        assert (a.argmax(-1) == b.argmax(-1)).float().mean() >= 0.9
        assert torch.nn.functional.kl_div(b, a, log_target=True, reduction="batchmean") < 1e-3


def test_the_embedded_model_stops_and_pads_with_different_tokens(embedded) -> None:
    model, tokenizer = embedded
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token_id == model.config.pad_token_id == 0
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert not any(p.requires_grad for p in model.parameters())


def test_the_contiguous_input_changes_rounding_at_most() -> None:
    model = tiny_llama()
    hidden = torch.randn(4, 7, 32)[:, -1:, :]
    assert not hidden.is_contiguous()
    torch.testing.assert_close(model.lm_head(hidden), model.lm_head(hidden.contiguous()))


def test_a_local_folder_loads_and_pickled_weights_do_not(tmp_path: Path, tokenizer) -> None:
    model = tiny_llama()
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    loaded, _ = load_base(str(good), precision="fp32")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
    assert identity(str(good))["model.safetensors"]
    torch.save(model.state_dict(), bad / "pytorch_model.bin")
    (bad / "model.safetensors").unlink()
    with pytest.raises(SafetuneError, match="safetensors"):
        load_base(str(bad))
    with pytest.raises(SafetuneError, match=r"holds no \*\.safetensors"):
        identity(str(bad))


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SafetuneError) as caught:
        load_base(str(tmp_path / "nothing"))
    assert "\n" not in str(caught.value)


def test_an_all_zero_adapter_is_an_error(tmp_path: Path) -> None:
    adapted = get_peft_model(tiny_llama(), LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"]))
    adapted.save_pretrained(tmp_path)
    with pytest.raises(SafetuneError, match="all zero"):
        load_adapter(tiny_llama(), tmp_path)


# Attention of another kind, none at all, and layers that are no `Linear`: nothing but parameters is told of
# them.
STRANGERS = {
    "gpt_neox": (
        GPTNeoXConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64),
        GPTNeoXForCausalLM,
        ["query_key_value"],
    ),
    "gpt2": (GPT2Config(n_embd=32, n_layer=2, n_head=4), GPT2LMHeadModel, ["c_attn"]),
    "mamba": (MambaConfig(hidden_size=32, num_hidden_layers=2, state_size=4), MambaForCausalLM, ["in_proj"]),
    "gemma3": (
        Gemma3TextConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            intermediate_size=64,
            sliding_window=16,
        ),
        Gemma3ForCausalLM,
        ["q_proj", "v_proj"],
    ),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_an_architecture_that_the_package_was_not_made_on_goes_the_whole_road_by_parameters(
    name: str, tokenizer, tmp_path: Path
) -> None:
    config, kind, target_modules = STRANGERS[name]
    config.vocab_size, config.bos_token_id, config.eos_token_id, config.pad_token_id = (
        len(tokenizer),
        1,
        tokenizer.eos_token_id,
        0,
    )
    torch.manual_seed(0)
    model = kind(config)
    model.save_pretrained(tmp_path / name)
    tokenizer.save_pretrained(tmp_path / name)
    study = state(
        prompt_sets=["malicious"], preset="smoke", base_model=str(tmp_path / name), precision="fp32", max_prompts=3,
        recipe={"target_modules": target_modules, "learning_rate": 0.05}, instruments=["refusal-rules"],
    )  # fmt: skip
    answers = run(study)
    assert answers.groupby("n_safety")["n_tokens"].agg(["count", "max"]).to_numpy().tolist() == [
        [3, 4],
        [3, 4],
    ]
    assert set(answers["base_model"]) == {name}
    assert list(responses.adapter_records(study)["steps"]) == [
        1,
        1,
    ]  # an adapter that stayed zero would have been an error
