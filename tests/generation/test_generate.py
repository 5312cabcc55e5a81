"""Responses: the same in a batch as alone, in order, and ended by the stop token."""

from __future__ import annotations

import pytest
from tiny_models import tiny_llama

from safetune_utils.generation import generate as generating
from safetune_utils.generation.generate import generate
from safetune_utils.models.template import render
from safetune_utils.settings import Decoding

INSTRUCTIONS = [
    "Name a fruit.",
    "Explain in two sentences why the sky looks blue on a clear day, as you would to a child of eight years.",
    "What is 2 + 3?",
    "Write a short note to thank a neighbour for watering the plants while we were away for two weeks "
    "in August.",
]


@pytest.mark.slow
@pytest.mark.parametrize("num_beams", [1, 4])
def test_a_batch_gives_the_answers_of_one_at_a_time_in_their_order(embedded, num_beams: int) -> None:
    model, tokenizer = embedded  # fp32: in bf16 a batch's rounding may flip a close choice
    how = Decoding(num_beams=num_beams, max_new_tokens=16, batch_size=4)
    together = generate(model=model, tokenizer=tokenizer, instructions=INSTRUCTIONS, decoding=how)
    alone = [
        generate(model=model, tokenizer=tokenizer, instructions=[text], decoding=how)[0]
        for text in INSTRUCTIONS
    ]
    assert together == alone
    assert len({answer.text for answer in together}) == 4


@pytest.mark.slow
def test_drawn_answers_are_repeatable_by_their_seed(embedded) -> None:
    model, tokenizer = embedded
    drawn = [
        generate(
            model=model,
            tokenizer=tokenizer,
            instructions=INSTRUCTIONS[:2],
            decoding=Decoding(max_new_tokens=12, temperature=1.0, sampling_seed=seed),
        )
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_what_is_drawn_does_not_depend_on_the_batch(embedded) -> None:
    model, tokenizer = embedded
    drawn = [
        generate(
            model=model,
            tokenizer=tokenizer,
            instructions=INSTRUCTIONS,
            decoding=Decoding(max_new_tokens=8, temperature=1.0, batch_size=size),
        )
        for size in (1, 3)
    ]
    assert drawn[0] == drawn[1]


def test_an_answer_ends_at_the_stop_token_and_never_at_a_text_marker(
    tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Yes.\n\n### Response:\nStill the answer."
    ids = tokenizer(said)["input_ids"]
    stop, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    rows = [[*ids, stop, pad, pad], [*ids, *ids][: len(ids) + 3]]
    # To say what it is told.
    monkeypatch.setattr(generating, "proven_way", lambda *_, **__: generating.OWN)
    monkeypatch.setattr(generating.own, "decode", lambda model, prompts, **_: rows)
    responses = generate(
        model=tiny_llama(), tokenizer=tokenizer, instructions=["same", "same"], decoding=Decoding()
    )
    assert responses[0].text == said
    assert (responses[0].stopped, responses[0].n_tokens) == (True, len(ids))
    assert (responses[1].stopped, responses[1].n_tokens) == (False, len(ids) + 3)


def test_a_guard_stands_before_every_instruction_whichever_way_answers(
    tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def said(
        model: object, tokenizer: object, prompts: list[list[int]], how: Decoding, **_: object
    ) -> list[list[int]]:
        asked.extend(tokenizer.decode(ids) for ids in prompts)
        return [[tokenizer.eos_token_id] for _ in prompts]

    monkeypatch.setattr(generating, "proven_way", lambda *_, **__: generating.OWN)
    monkeypatch.setattr(generating, "_said", said)  # where the ways part
    for guard in ("", "Think of {instruction} first."):
        generate(
            model=tiny_llama(),
            tokenizer=tokenizer,
            instructions=["Name a fruit."],
            inputs=["Not {this}."],
            decoding=Decoding(guard=guard),
        )
    assert asked[0] == render(instruction="Name a fruit.", input="Not {this}.")
    assert asked[1] == asked[0].replace("Name a fruit.", "Think of {instruction} first.\n\nName a fruit.")
