"""Decoding says what a plain loop and transformers' own loop say, token by token."""

from __future__ import annotations

import pytest
import torch
from tiny_models import tiny_llama
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedModel

from safetune_utils import data
from safetune_utils.generation import decoding
from safetune_utils.generation import generate as generating
from safetune_utils.generation.generate import generate
from safetune_utils.settings import Decoding

# Ragged, with a beginning that all share.
PROMPTS = [[5, 6, 7, 8], [5, 6, 9], [5, 6, 7, 10, 11, 12, 13], [5, 6, 14]]
NO_STOP = -1


def plainly(model: PreTrainedModel, prompt: list[int], n: int, *, stop: int = NO_STOP) -> list[int]:
    """The likeliest tokens one by one, each from the whole text before it."""
    said: list[int] = []
    while len(said) < n and (not said or said[-1] != stop):
        with torch.inference_mode():
            said.append(int(model(torch.tensor([prompt + said])).logits[0, -1].argmax()))
    return said


@torch.inference_mode()
def test_the_likeliest_tokens_are_those_of_a_plain_loop_in_the_order_of_the_prompts() -> None:
    model = tiny_llama()
    expected = [plainly(model, prompt, 6) for prompt in PROMPTS]
    assert decoding.decode(model, PROMPTS, stops=[NO_STOP], max_new_tokens=6) == expected
    assert len({tuple(said) for said in expected}) == len(PROMPTS)
    assert decoding.decode(model, PROMPTS[:1], stops=[NO_STOP], max_new_tokens=6) == expected[:1]


@torch.inference_mode()
def test_a_response_ends_with_the_stop_token_while_others_go_on() -> None:
    model = tiny_llama()
    stop = plainly(model, PROMPTS[1], 3)[2]
    expected = [plainly(model, prompt, 8, stop=stop) for prompt in PROMPTS]
    assert len(expected[1]) <= 3
    assert max(map(len, expected)) == 8
    assert decoding.decode(model, PROMPTS, stops=[stop], max_new_tokens=8) == expected


@torch.inference_mode()
def test_what_is_drawn_goes_by_each_prompt_s_own_seed_and_by_the_probabilities() -> None:
    model = tiny_llama()

    def drawn(prompts: list[list[int]], seeds: list[int], temperature: float = 1.0) -> list[list[int]]:
        return decoding.decode(
            model, prompts, stops=[NO_STOP], max_new_tokens=4, temperature=temperature, seeds=seeds
        )

    together = drawn(PROMPTS, [1, 2, 3, 4])
    assert drawn(PROMPTS[::-1], [4, 3, 2, 1]) == together[::-1]
    assert drawn(PROMPTS[2:3], [3]) == together[2:3]
    assert drawn(PROMPTS, [5, 6, 7, 8]) != together
    # So cold that only the likeliest is drawn.
    assert drawn(PROMPTS, [1, 2, 3, 4], temperature=1e-6) == [plainly(model, p, 4) for p in PROMPTS]


def test_a_token_is_drawn_as_often_as_its_probability_says() -> None:
    n = 4000
    logits = torch.tensor([0.2, 0.5, 0.3]).log().expand(n, 3)
    for temperature, expected in ((1.0, [0.2, 0.5, 0.3]), (0.5, [0.04 / 0.38, 0.25 / 0.38, 0.09 / 0.38])):
        generators = [torch.Generator().manual_seed(seed) for seed in range(n)]
        tokens = decoding.drawn(logits, temperature, generators)
        shares = torch.bincount(tokens, minlength=3) / n
        assert shares.tolist() == pytest.approx(expected, abs=0.03)


def test_models_whose_layers_do_not_keep_all_tokens_are_left_to_transformers() -> None:
    assert decoding.can_decode(tiny_llama())
    windows = Gemma3TextConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=64,
        sliding_window=16,
    )
    assert not decoding.can_decode(Gemma3ForCausalLM(windows))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_beams", "max_new_tokens"),
    [
        pytest.param(1, 12, marks=pytest.mark.sample),
        (1, 40),
        (4, 40),
        (3, 5),
    ],
)
def test_responses_are_those_of_transformers_own_loop(
    embedded, monkeypatch: pytest.MonkeyPatch, num_beams: int, max_new_tokens: int
) -> None:
    model, tokenizer = embedded
    # Beams take as many times longer, so fewer prompts are asked, one of which is answered in few words.
    asked, together = (slice(10), 6) if num_beams == 1 else (slice(4, 9), 3)
    texts = [prompt.text for prompt in data.prompts("embedded", "ordinary")[asked]]
    how = Decoding(num_beams=num_beams, max_new_tokens=max_new_tokens, batch_size=together)
    ours = generate(model=model, tokenizer=tokenizer, instructions=texts, decoding=how)
    monkeypatch.setattr(generating, "proven_way", lambda *_, **__: generating.TOGETHER)
    assert generate(model=model, tokenizer=tokenizer, instructions=texts, decoding=how) == ours
    if max_new_tokens == 40:
        assert {said.stopped for said in ours} == {True, False}  # rows left the batch, and some did not


@pytest.mark.slow
def test_beams_are_those_of_transformers_own_loop_when_responses_end_early(
    monkeypatch: pytest.MonkeyPatch, tokenizer
) -> None:
    """With a stop token that a random model likes, beams end at all lengths, and prompts leave the batch at
    all times.
    """
    lengths: set[int] = set()
    words = ("one", "two", "three", "four", "a good deal more than four", "six", "seven")
    texts = [f"Say {word}." for word in words]
    how = Decoding(num_beams=3, max_new_tokens=12, batch_size=8)
    for seed in range(16):
        model = tiny_llama(seed)
        liked = 12 * model.lm_head.weight.data[100:400].mean(0)
        model.lm_head.weight.data[tokenizer.eos_token_id] = 0.02 * torch.randn(len(liked)) + liked
        model.lm_head.weight.data[400:] *= 0.2
        ours = generate(model=model, tokenizer=tokenizer, instructions=texts, decoding=how)
        with monkeypatch.context() as patch:
            patch.setattr(generating, "proven_way", lambda *_, **__: generating.TOGETHER)
            assert generate(model=model, tokenizer=tokenizer, instructions=texts, decoding=how) == ours
        lengths |= {said.n_tokens for said in ours}
    assert len(lengths) > 4, lengths


def test_ordered_weights_give_the_same_products_and_leave_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.Linear(96, 32, bias=False))
    layers.to(torch.bfloat16).requires_grad_(False)
    states = torch.randn(5, 3, 64).bfloat16()
    plain = layers(states)
    with decoding.ordered_weights(layers):
        torch.testing.assert_close(layers(states), plain, rtol=0.02, atol=0.02)
        held = [vars(layer).get("forward") for layer in layers]
        # A processor without AVX-512 cannot order them, and computes in bf16 all the same.
        assert all(held) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
        with decoding.ordered_weights(layers):
            pass
        # A block inside orders nothing anew and takes nothing away.
        assert [vars(layer).get("forward") for layer in layers] == held
    assert all("forward" not in vars(layer) for layer in layers)
    assert torch.equal(layers(states), plain)
