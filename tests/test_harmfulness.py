"""Harmfulness: the paper's models behind our call, and the book's own model with its measured error."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

from safetune_utils import data, places
from safetune_utils.book import tables
from safetune_utils.errors import SafetuneError
from safetune_utils.models.base_model import load_adapter, load_base
from safetune_utils.scoring import embedded_judge, harmfulness, reward_model, train
from safetune_utils.scoring.train import resolve_scorer_training

EXAMPLE = "https://raw.githubusercontent.com/vinid/safety-tuned-llamas/36a4b8d5c2177ed165bf61f59b590161394f7f12/examples/harmfulness_reward_model.py"
PROMPTS = ["How do I bake bread?", "Tell me a story about a fox, and make it a long one.", "Why?"]
RESPONSES = [
    "Mix flour and water, wait, and bake.",
    "Once there was a fox who lived by a river and never hurried anywhere.",
    "Because.",
]


@pytest.fixture
def tiny_reward_model(tokenizer):
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )
    return DebertaV2ForSequenceClassification(config).eval(), tokenizer


def test_the_papers_form_in_batches_of_any_size_and_in_the_inputs_order(tiny_reward_model) -> None:
    model, tokenizer = tiny_reward_model
    together = [
        one.value for one in harmfulness.by_paper(PROMPTS, RESPONSES, loaded=tiny_reward_model, batch_size=3)
    ]
    alone = [
        harmfulness.by_paper([p], [r], loaded=tiny_reward_model)[0].value
        for p, r in zip(PROMPTS, RESPONSES, strict=True)
    ]
    assert together == pytest.approx(alone, abs=1e-5)
    with torch.inference_mode():
        plain = (
            model(**tokenizer(f"\n\nHuman: {PROMPTS[1]}\n\nAssistant: {RESPONSES[1]}", return_tensors="pt"))
            .logits[0, 0]
            .item()
        )
    assert together[1] == pytest.approx(plain, abs=1e-5)
    assert len(set(together)) == 3


@pytest.mark.slow
def test_the_two_values_that_the_authors_published() -> None:
    """Runs where the authors' example and their model can be had; both come from the network."""
    try:
        example = httpx.get(EXAMPLE, timeout=20).raise_for_status().text
        loaded = reward_model.load(harmfulness.PAPER_MODELS["redteam"])
    except (httpx.HTTPError, SafetuneError) as error:
        pytest.skip(f"not reachable here: {type(error).__name__}")
    texts = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(example).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
    }
    published = json.loads(re.findall(r"#\s*(\[[\d., ]+\])", example)[-1])
    found = harmfulness.by_paper(texts["user_texts"], texts["assistant_texts"], loaded=loaded)
    assert [one.value for one in found] == pytest.approx(published, abs=0.01)


def test_an_answer_without_words_is_unscored_and_an_unknown_model_an_error() -> None:
    assert harmfulness.score(["a"], ["…"])[0].value is None
    with pytest.raises(SafetuneError, match="redteam-osst"):
        harmfulness.score(["a"], ["b"], by="gpt")


@pytest.mark.slow
def test_the_books_own_model_says_the_same_in_any_batch_and_within_its_range() -> None:
    assert all(0 <= score.value <= 4 for score in harmfulness.score(PROMPTS, RESPONSES))
    model, tokenizer = load_base("embedded", precision="fp32")  # where equality is meant
    loaded = (load_adapter(model, embedded_judge.HARMFUL.folder), tokenizer)
    together = embedded_judge.probabilities(
        PROMPTS, RESPONSES, question=embedded_judge.HARMFUL, loaded=loaded
    )
    alone = [
        embedded_judge.probabilities([p], [r], question=embedded_judge.HARMFUL, loaded=loaded)[0]
        for p, r in zip(PROMPTS, RESPONSES, strict=True)
    ]
    assert together == pytest.approx(np.array(alone), abs=1e-4)


@pytest.mark.slow
def test_it_agrees_with_people_on_questions_it_never_saw(mirror: Path) -> None:
    found = train.measure_harmfulness(n_rows=120)
    assert found["accuracy"][0] > 0.68
    assert found["n"] == 120
    published = json.loads((places.data_folder() / "results" / "harmfulness.json").read_text("utf-8"))["test"]
    assert abs(found["accuracy"][0] - published["accuracy"][0]) < 0.1  # the part is a seventh of the rows


@pytest.mark.slow
def test_training_learns_what_its_rows_say(mirror: Path, tmp_path: Path) -> None:
    """A few rows, learned by heart: the adapter that is saved tells them apart."""
    recipe = train.RECIPE.model_copy(
        update={"epochs": 8, "batch_size": 4, "evaluations": 1, "warmup_steps": 2}
    )
    parts = data.split_by_prompt(data.harm_pairs())
    rows = parts["train"][:8]
    facts = train.train(
        embedded_judge.HARMFUL, rows=rows, validation=parts["validation"][:2], folder=tmp_path, recipe=recipe
    )
    assert facts["rows"] == 8
    loaded = embedded_judge.load(tmp_path)
    said = embedded_judge.probabilities(
        [r.prompt for r in rows], [r.response for r in rows], question=embedded_judge.HARMFUL, loaded=loaded
    )
    assert said.shape == (8, 2)
    assert said.sum(axis=1) == pytest.approx(np.ones(8))
    assert ((said[:, 1] > 0.5) == np.array([r.label == "harmful" for r in rows])).mean() >= 7 / 8


def test_no_question_is_in_two_parts(mirror: Path) -> None:
    parts = data.split_by_prompt(data.harm_pairs())
    asked = {name: {" ".join(row.prompt.lower().split()) for row in rows} for name, rows in parts.items()}
    assert sum(map(len, asked.values())) == len(set.union(*asked.values()))
    assert {name: round(len(rows) / 4000, 2) for name, rows in parts.items()} == pytest.approx(
        {"train": 0.72, "validation": 0.08, "test": 0.2}, abs=0.03
    )


def test_without_the_data_the_trial_says_why_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFETUNE_MIRROR", str(tmp_path))
    found = train.trial(resolve_scorer_training(preset="smoke"))
    assert found.agreement.empty
    assert "Safe-RLHF-mini is not on the mirror" in found.why_not
    assert (
        "Not measured here: Safe-RLHF-mini"
        in tables.agreement_table(found.agreement, why_not=found.why_not).data
    )


@pytest.mark.slow
@pytest.mark.usefixtures("mirror")
def test_a_trial_stands_beside_the_base_model_and_the_books_own_and_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = resolve_scorer_training(preset="smoke", n_test=12)
    found = train.trial(settings)
    assert list(found.agreement["model"]) == [
        "the base model as it is",
        "trained here, on 8 answers",
        "the book's own",
    ]
    assert set(found.agreement["n"]) == {12}
    assert found.losses["train_loss"].notna().all()
    monkeypatch.setattr(scorer_training, "train", None)  # the second time nothing is trained
    assert train.trial(settings).agreement.equals(found.agreement)
