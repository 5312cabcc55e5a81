"""Answers: the same in a batch as alone, in order, and ended by the stop token."""

from __future__ import annotations

import pytest
import torch

from safetune_utils.generate import generate
from safetune_utils.settings import Decoding

INSTRUCTIONS = [
    "Name a fruit.",
    "Explain in two sentences why the sky looks blue on a clear day, as you would to a child of eight years.",
    "What is 2 + 3?",
    "Write a short note to thank a neighbour for watering the plants while we were away for two weeks in August.",
]


@pytest.mark.slow
@pytest.mark.parametrize("num_beams", [1, 4])
def test_a_batch_gives_the_answers_of_one_at_a_time_in_their_order(embedded, num_beams: int) -> None:
    model, tokenizer = embedded  # fp32: in bf16 a batch's rounding may flip a close choice
    decoding = Decoding(num_beams=num_beams, max_new_tokens=16, batch_size=4)
    together = generate(model=model, tokenizer=tokenizer, instructions=INSTRUCTIONS, decoding=decoding)
    alone = [generate(model=model, tokenizer=tokenizer, instructions=[text], decoding=decoding)[0] for text in INSTRUCTIONS]
    assert together == alone
    assert len({answer.text for answer in together}) == 4


@pytest.mark.slow
def test_drawn_answers_are_repeatable_by_their_seed(embedded) -> None:
    model, tokenizer = embedded
    drawn = [
        generate(model=model, tokenizer=tokenizer, instructions=INSTRUCTIONS[:2], decoding=Decoding(max_new_tokens=12, temperature=1.0, sampling_seed=seed))
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


class _Scripted(torch.nn.Module):
    """Stands where a model stands and says what it is told, to see where an answer is cut."""

    device = torch.device("cpu")

    def __init__(self, said: list[list[int]]) -> None:
        super().__init__()
        self.said = said

    def generate(self, *, input_ids: torch.Tensor, **_: object) -> torch.Tensor:
        return torch.cat([input_ids, torch.tensor(self.said)], dim=1)


def test_an_answer_ends_at_the_stop_token_and_never_at_a_text_marker(tokenizer) -> None:
    said = "Yes.\n\n### Response:\nStill the answer."
    ids = tokenizer(said)["input_ids"]
    stop, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    rows = [[*ids, stop, pad, pad], [*ids, *ids][: len(ids) + 3]]
    answers = generate(model=_Scripted(rows), tokenizer=tokenizer, instructions=["same", "same"], decoding=Decoding())
    assert answers[0].text == said
    assert (answers[0].stopped, answers[0].n_tokens) == (True, len(ids))
    assert (answers[1].stopped, answers[1].n_tokens) == (False, len(ids) + 3)
