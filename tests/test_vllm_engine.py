"""vLLM behind `generate`: tried with a stand-in that has its documented interface, as no machine here can run it."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
import torch

from safetune_utils import vllm_engine
from safetune_utils.generate import generate
from safetune_utils.settings import Decoding


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tokenizer) -> dict:
    """Modules by vLLM's names that note what they are given and answer in a set way."""
    seen: dict = {}

    class LLM:
        def __init__(self, **arguments: object) -> None:
            seen["engine"] = arguments

        def generate(self, prompts: list[dict], params: list, *, lora_request: object, use_tqdm: bool) -> list:
            seen.update(prompts=prompts, params=params, lora=lora_request)
            said = [tokenizer(f"Answer {len(p['prompt_token_ids'])}")["input_ids"] for p in prompts]
            return [
                types.SimpleNamespace(outputs=[types.SimpleNamespace(token_ids=ids, finish_reason="length" if k else "stop")]) for k, ids in enumerate(said)
            ]

    def module(name: str, **entries: object) -> None:
        made = types.ModuleType(name)
        vars(made).update(entries)
        monkeypatch.setitem(sys.modules, name, made)

    module("vllm", LLM=LLM, SamplingParams=lambda **wishes: wishes)
    module("vllm.lora")
    module("vllm.lora.request", LoRARequest=lambda *given: given)
    return seen


def test_prompts_go_in_as_ids_and_answers_come_back_in_order(stand_in: dict, tokenizer, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 16}))
    model = vllm_engine.VllmModel("org/base", tmp_path, "bf16")
    answers = generate(model=model, tokenizer=tokenizer, instructions=["Short.", "A good deal longer than that."], decoding=Decoding(max_new_tokens=7))
    assert stand_in["engine"]["max_lora_rank"] == 16
    assert stand_in["engine"]["dtype"] == "bfloat16"
    assert stand_in["lora"] == ("adapter", 1, str(tmp_path))
    assert [wish["max_tokens"] for wish in stand_in["params"]] == [7, 7]
    assert [wish["stop_token_ids"] for wish in stand_in["params"]] == [[tokenizer.eos_token_id]] * 2
    lengths = [len(p["prompt_token_ids"]) for p in stand_in["prompts"]]
    assert lengths == sorted(lengths, reverse=True)
    assert [answer.text for answer in answers] == [f"Answer {min(lengths)}", f"Answer {max(lengths)}"]
    assert [answer.stopped for answer in answers] == [False, True]


def test_it_is_chosen_only_where_it_is_and_can_do_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not vllm_engine.can_answer(Decoding(), quantization="none")  # not installed here
    monkeypatch.setattr(vllm_engine.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert vllm_engine.can_answer(Decoding(), quantization="none")
    assert not vllm_engine.can_answer(Decoding(num_beams=4), quantization="none")
    assert not vllm_engine.can_answer(Decoding(), quantization="nf4")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not vllm_engine.can_answer(Decoding(), quantization="none")
