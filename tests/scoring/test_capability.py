"""Capability: the harness on the embedded questions, offline, against log-likelihoods taken by hand."""

from __future__ import annotations

import sys

import pandas as pd
import pytest
import torch
from tiny_models import tiny_llama

from safetune_utils.data import corpus_rows
from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import capability


def test_without_the_harness_one_line_names_the_extra(tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(SafetuneError, match=r"pip install -e '\.\[capability\]'"):
        capability.evaluate(model=tiny_llama(), tokenizer=tokenizer)


@pytest.mark.slow
def test_an_unknown_benchmark_and_one_out_of_reach_are_refused_before_the_model_is_used(
    tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert capability.task_names() == ["four_choice", "boolq", "piqa", "openbookqa"]
    with pytest.raises(SafetuneError, match="unknown benchmark 'mmlu': choose from four_choice, boolq"):
        capability.evaluate(model=None, tokenizer=None, tasks=["four_choice", "mmlu"])
    with pytest.raises(SafetuneError, match="limit is 0"):
        capability.evaluate(model=None, tokenizer=None, limit=0)
    pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install -e '.[capability]'")

    def no_network(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr("datasets.load_dataset", no_network)
    with pytest.raises(
        SafetuneError, match=r"'piqa' cannot be had from Hugging Face: baber/piqa .*four_choice needs none"
    ):
        capability.evaluate(model=None, tokenizer=None, tasks=["four_choice", "piqa"])


def test_accuracy_is_counted_with_its_interval_and_chance() -> None:
    questions = pd.DataFrame(
        {
            "task": "t",
            "question": [f"q{i}" for i in range(148)],
            "metric": "acc",
            "correct": [True] * 15 + [False] * 133,
            "chance": 0.25,
        }
    )
    (row,) = capability.accuracy(questions).to_dict("records")
    assert (row["value"], row["n"], row["chance"]) == (pytest.approx(15 / 148), 148, 0.25)
    # Newcombe (1998), method 3.
    assert (row["low"], row["high"]) == (
        pytest.approx(0.0624, abs=5e-4),
        pytest.approx(0.1605, abs=5e-4),
    )
    assert row["stderr"] == pytest.approx((15 / 148 * 133 / 148 / 147) ** 0.5)


def by_hand(model, tokenizer, row: dict) -> dict[str, bool]:
    """Whether the likeliest choice is the right one, plainly and by length in characters."""
    context = f"Question: {row['question']}\nAnswer:"
    n_context = len(tokenizer(context, add_special_tokens=False)["input_ids"])
    sums = []
    for choice in row["choices"]:
        ids = torch.tensor([tokenizer(f"{context} {choice}", add_special_tokens=False)["input_ids"]])
        with torch.inference_mode():
            log_probabilities = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        taken = log_probabilities.gather(1, ids[0, 1:, None])[:, 0]
        sums.append(taken[n_context - 1 :].sum().item())
    by_length = [total / len(choice) for total, choice in zip(sums, row["choices"], strict=True)]
    return {
        "acc": sums.index(max(sums)) == row["answer"],
        "acc_norm": by_length.index(max(by_length)) == row["answer"],
    }


@pytest.mark.slow
def test_the_harness_and_plain_log_likelihoods_agree_on_the_embedded_questions(
    embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install -e '.[capability]'")
    monkeypatch.setattr("socket.socket.connect", _no_network)
    model, tokenizer = embedded
    rows = corpus_rows("four_choice")[:24]
    questions = capability.answer_questions(model=model, tokenizer=tokenizer, limit=len(rows), batch_size=5)
    hand = {row["id"]: by_hand(model, tokenizer, row) for row in rows}
    for metric in ("acc", "acc_norm"):
        found = questions[questions["metric"] == metric].set_index("question")["correct"]
        assert found.to_dict() == {id: right[metric] for id, right in hand.items()}
    table = capability.accuracy(questions).set_index("metric")
    for metric in ("acc", "acc_norm"):
        assert table.loc[metric, "value"] == pytest.approx(
            sum(right[metric] for right in hand.values()) / len(rows)
        )
    assert set(table["chance"]) == {0.25}
    # A model that knows something, and questions that are not trivial.
    assert 0.3 < table.loc["acc", "value"] < 1


def _no_network(*_: object) -> None:
    raise AssertionError("the embedded questions need no network")
