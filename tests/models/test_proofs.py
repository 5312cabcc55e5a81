"""Fast ways are used where their numbers are those of the plain forward pass, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import architectures
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from safetune_utils.errors import SafetuneError
from safetune_utils.generation import decoding
from safetune_utils.generation import generate as generation
from safetune_utils.generation.generate import ALONE, OWN, TOGETHER, generate
from safetune_utils.models import proofs, shared_prefix
from safetune_utils.models.template import encode_prompt, prompt_text
from safetune_utils.settings import Decoding
from safetune_utils.training import loss
from safetune_utils.training.loss import PACKED, PADDED, proven_way, summed_loss
from safetune_utils.training.rows import Row


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFETUNE_CACHE", str(tmp_path / "cache"))


def adapted(name: str) -> PeftModel:
    """A random model with an adapter on its linear layers, whose gradient is seen."""
    torch.manual_seed(0)
    model = architectures.tiny(name)
    found = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"))
    for weight_name, weight in found.named_parameters():
        if "lora_B" in weight_name:  # zero at the start, which would hide the gradient of lora_A
            torch.nn.init.normal_(weight, std=0.05)
    return found


def rows_of(model: PeftModel) -> list[Row]:
    ids = [row for part in proofs.short_rows(model) for row in part]
    return [Row(row, [-100] * 4 + row[4:], truncated=False) for row in ids]


def plainly(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str, n: int) -> list[int]:
    """The likeliest tokens one by one, each from the whole text before it, until the stop token."""
    ids = encode_prompt(tokenizer, prompt_text(tokenizer, instruction=text))
    said: list[int] = []
    while len(said) < n and tokenizer.eos_token_id not in said:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids + said]), use_cache=False).logits
        said.append(int(logits[0, -1].argmax()))
    return said


# One of each kind of what a fast path could leave out: a scale or a cap of the logits, ALiBi, a window.
@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("llama", PACKED),
        ("mistral", PACKED),  # its rows longer than the window are padded
        ("qwen3", PACKED),
        ("cohere", PADDED),
        ("granite", PADDED),
        ("gemma2", PADDED),
        ("mpt", PADDED),
        ("gpt_neo", PADDED),
        ("rwkv", PADDED),
    ],
)
def test_the_loss_and_its_gradient_are_those_of_the_models_own(name: str, way: str) -> None:
    model = adapted(name).eval()
    rows = rows_of(model)
    expected = sum(
        model(input_ids=torch.tensor([row.ids]), labels=torch.tensor([row.labels]), use_cache=False).loss
        * (len(row.ids) - 4)
        for row in rows
    )
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    gradient = torch.autograd.grad(expected, weights, allow_unused=True)
    assert proven_way(model) == way
    found = summed_loss(model, rows, way=way)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    for ours, theirs in zip(torch.autograd.grad(found, weights, allow_unused=True), gradient, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("llama", OWN),
        ("gpt2", OWN),
        ("mpt", TOGETHER),
        ("gpt_neo", TOGETHER),
        ("gemma2", TOGETHER),
        ("mamba", TOGETHER),
        ("rwkv", ALONE),
    ],
)
def test_answers_in_a_batch_are_those_of_the_plain_model(name: str, way: str) -> None:
    model, tokenizer = architectures.tiny(name), architectures.tokenizer()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    asked = ["Name a fruit.", "Say why the sky looks blue, as you would to a child of eight years.", "Hi"]
    said = generate(model=model, tokenizer=tokenizer, instructions=asked, decoding=Decoding(max_new_tokens=8))
    assert generation.proven_way(model, tokenizer) == way
    for text, answer in zip(asked, said, strict=True):
        kept = [token for token in plainly(model, tokenizer, text, 8) if token != tokenizer.eos_token_id]
        assert answer.text == tokenizer.decode(kept, skip_special_tokens=True).strip()


def test_a_way_that_gives_other_numbers_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted("llama")
    right = shared_prefix._causal
    monkeypatch.setattr(shared_prefix, "_causal", lambda q, k, v, scaling: right(q, k, v, 0.9 * scaling))
    assert proven_way(model) == PADDED
    assert model.get_base_model().config._attn_implementation == "eager"
    monkeypatch.setattr(decoding._PreallocatedLayer, "get_seq_length", lambda layer: layer.length + 1)
    assert generation.proven_way(model, architectures.tokenizer()) != OWN


def test_what_came_out_is_kept_and_a_cut_file_of_it_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, real, tried = adapted("llama"), loss._numbers, []

    def counted(*given: object, **more: object) -> proofs.Numbers:
        tried.append(more)
        return real(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(loss, "_numbers", counted)
    assert proven_way(model) == PACKED
    assert (n := len(tried)) > 0
    assert proven_way(adapted("llama")) == PACKED
    assert len(tried) == n
    [kept] = (tmp_path / "cache" / "proofs").glob("loss-*.json")
    kept.write_text(kept.read_text()[:40])
    assert proven_way(model) == PACKED
    assert len(tried) == 2 * n


def test_numbers_that_are_no_numbers_stop_the_work() -> None:
    model, tokenizer = architectures.tiny("llama"), architectures.tokenizer()
    model.lm_head.weight.data[7] = torch.nan
    for beams in (1, 3):
        with pytest.raises(SafetuneError, match="logits are not numbers"):
            generate(
                model=model,
                tokenizer=tokenizer,
                instructions=["Hi"],
                decoding=Decoding(max_new_tokens=4, num_beams=beams),
            )


@pytest.mark.parametrize("way", [OWN, TOGETHER, ALONE])
def test_a_model_s_own_generation_config_changes_nothing_but_where_a_response_ends(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "proven_way", lambda *_, **__: way)
    model, tokenizer = architectures.tiny("llama"), architectures.tokenizer()
    asked, how = ["Name a fruit.", "Say hello to a neighbour."], Decoding(max_new_tokens=8)
    model.generation_config.eos_token_id = None
    plain = generate(model=model, tokenizer=tokenizer, instructions=asked, decoding=how)
    model.generation_config.update(
        do_sample=True, top_p=0.5, temperature=0.3, repetition_penalty=3.0, no_repeat_ngram_size=1
    )
    assert generate(model=model, tokenizer=tokenizer, instructions=asked, decoding=how) == plain
    assert model.generation_config.repetition_penalty == 3.0  # it is the model's again
    # Every stop token ends a response: here the third token of the first, besides the tokenizer's.
    third = plainly(model, tokenizer, asked[0], 3)[2]
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, third]
    ended = generate(model=model, tokenizer=tokenizer, instructions=asked, decoding=how)[0]
    assert ended.stopped
    assert ended.n_tokens <= 2


@pytest.mark.parametrize("way", [OWN, TOGETHER, ALONE])
def test_what_is_drawn_depends_on_the_prompt_and_the_seed_alone(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "proven_way", lambda *_, **__: way)
    model, tokenizer = architectures.tiny("llama"), architectures.tokenizer()

    def drawn(asked: list[str], seed: int = 0, batch_size: int = 8) -> list[str]:
        how = Decoding(max_new_tokens=8, temperature=1.5, sampling_seed=seed, batch_size=batch_size)
        said = generate(model=model, tokenizer=tokenizer, instructions=asked, decoding=how)
        return [one.text for one in said]

    asked = ["Name a fruit.", "Say hello.", "Name a fruit.", "Count to three, slowly, and then stop."]
    together = drawn(asked)
    assert drawn(asked, batch_size=1) == together
    assert drawn(asked[::-1])[0] == together[3]
    assert drawn(asked[1:2]) == together[1:2]
    assert together[0] != together[2]  # asked twice, drawn twice
    # Neighbouring seeds share nothing: no prompt's stream is another prompt's under the next seed.
    same = ["Name a fruit."] * 6
    assert not set(drawn(same, seed=0)) & set(drawn(same, seed=1))


def test_hidden_states_of_rows_together_are_those_of_each_alone_or_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoder = architectures.tiny("llama").get_decoder()
    assert shared_prefix.may_pad(decoder)
    rows = [row for part in proofs.short_rows(decoder) for row in part]
    with torch.inference_mode():
        hidden, places = shared_prefix.hidden_states(decoder, rows)
        for row, place in zip(rows, places, strict=True):
            alone = decoder(input_ids=torch.tensor([row]), use_cache=False).last_hidden_state[0]
            torch.testing.assert_close(hidden[list(place)], alone, rtol=1e-3, atol=1e-4)
    monkeypatch.setattr(shared_prefix, "arranged", lambda rows, **_: 1 / 0)
    decoder.config._name_or_path = decoder.name_or_path = "a third"
    assert not shared_prefix.may_pad(decoder)
