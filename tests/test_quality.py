"""Response quality: the reward model's plumbing, win rates, and what the text alone gives away."""

from __future__ import annotations

import math
import random
import string

import pytest
import torch
from conftest import tiny_llama
from peft import LoraConfig, get_peft_model
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification, DebertaV2Tokenizer

from safetune_utils.data import Example, corpus_rows, fetch, read_table
from safetune_utils.errors import SafetuneError
from safetune_utils.models.template import render
from safetune_utils.scoring import quality, reward_model
from safetune_utils.scoring.coherence import text_quality
from safetune_utils.scoring.quality import win_rate
from safetune_utils.training.reference_loss import reference_examples, reference_loss

# ---------------------------------------------------------------------------------------------------- the
# reward model

WORDS = [
    "how",
    "do",
    "i",
    "bake",
    "bread",
    "tell",
    "me",
    "a",
    "joke",
    "mix",
    "flour",
    "water",
    "and",
    "salt",
    "then",
    "wait",
    "for",
    "an",
    "hour",
    "no",
]
PROMPTS = ["how do i bake bread", "tell me a joke", "how do i wait", "tell me", "do i mix water and salt"]
RESPONSES = ["mix flour water and salt then wait for an hour", "no", "wait", "  \n", "a joke and bread then"]


def tiny_reward_model(n_outputs: int = 1) -> DebertaV2ForSequenceClassification:
    """A random DeBERTa with the real one's kind of attention, and a spread of rewards wide enough to see an
    error in.
    """
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=5 + len(set(WORDS)), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=512,
        relative_attention=True, position_buckets=32, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"],
        position_biased_input=False, type_vocab_size=2, initializer_range=0.5, num_labels=n_outputs,
    )  # fmt: skip
    return DebertaV2ForSequenceClassification(config).eval()


def tiny_tokenizer() -> DebertaV2Tokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return DebertaV2Tokenizer(
        vocab=[(token, 0.0) for token in special] + [(f"▁{word}", -1.0) for word in sorted(set(WORDS))]
    )


def test_rewards_are_the_model_s_own_and_do_not_depend_on_the_batch() -> None:
    model, tokenizer = tiny_reward_model(), tiny_tokenizer()
    model.train()  # a model left in training mode would drop out at random
    together = quality.score(PROMPTS, RESPONSES, model=model, tokenizer=tokenizer, batch_size=8)
    apart = quality.score(PROMPTS, RESPONSES, model=model, tokenizer=tokenizer, batch_size=1)
    for i in (0, 1, 2, 4):
        with torch.inference_mode():
            by_hand = model(**tokenizer(PROMPTS[i], RESPONSES[i], return_tensors="pt")).logits.item()
        assert together[i].value == pytest.approx(by_hand, abs=1e-4)
        assert apart[i].value == pytest.approx(by_hand, abs=1e-4)
    assert (
        len({round(together[i].value, 2) for i in (0, 1, 2, 4)}) == 4
    )  # unlike enough for a wrong order to show
    assert (together[3].value, together[3].reason) == (None, "no words in the answer")


def test_a_long_row_is_cut_at_512_tokens_and_says_so() -> None:
    model, tokenizer = tiny_reward_model(), tiny_tokenizer()
    long = "mix flour " * 400
    cut, whole = quality.score(PROMPTS[:2], [long, "no"], model=model, tokenizer=tokenizer)
    assert "up to token 512" in cut.reason
    assert whole.reason == ""
    n_prompt = len(tokenizer(PROMPTS[0])["input_ids"])
    fits = " ".join(long.split()[: 512 - n_prompt - 1])  # one more separator
    (same,) = quality.score(PROMPTS[:1], [fits], model=model, tokenizer=tokenizer)
    assert same.reason == ""
    assert cut.value == pytest.approx(same.value, abs=1e-4)


def test_a_reward_model_is_loaded_from_a_folder_and_impostors_are_refused(tmp_path) -> None:
    model, tokenizer = tiny_reward_model(), tiny_tokenizer()
    model.to(torch.bfloat16).save_pretrained(tmp_path / "reward")
    tokenizer.save_pretrained(tmp_path / "reward")
    loaded, its_tokenizer = reward_model.load(str(tmp_path / "reward"))
    assert loaded.dtype == torch.float32  # whatever it was saved in
    assert (
        quality.score(PROMPTS[:1], RESPONSES[:1], model=loaded, tokenizer=its_tokenizer)[0].value is not None
    )
    with pytest.raises(SafetuneError, match="cannot be reached"):
        reward_model.load(str(tmp_path / "absent"))
    # A plain encoder would be given a random head, with no more than a warning.
    model.deberta.save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    with pytest.raises(SafetuneError, match="lacks weights of a reward model"):
        reward_model.load(str(tmp_path / "encoder"))
    for wrong, message in (
        (tiny_reward_model(n_outputs=2), "one output"),
        (tiny_reward_model().to(torch.bfloat16), "fp32"),
    ):
        with pytest.raises(SafetuneError, match=message):
            quality.score(PROMPTS[:1], RESPONSES[:1], model=wrong, tokenizer=tokenizer)
    tokenizer.pad_token = None
    with pytest.raises(SafetuneError, match="padding token"):
        quality.score(PROMPTS[:1], RESPONSES[:1], model=tiny_reward_model(), tokenizer=tokenizer)


# ------------------------------------------------------------------------------------------------------------
# win rate


def test_win_rate_counts_ties_half_and_leaves_unscored_prompts_out() -> None:
    result = win_rate([1.0, 0.0, 2.0, None, 5.0], [0.0, 1.0, 2.05, 1.0, float("nan")], tie_margin=0.1)
    assert (result.wins, result.ties, result.losses, result.n_scored, result.n_unscored) == (1, 1, 1, 3, 2)
    assert result.share == 0.5
    assert win_rate([2.05], [2.0]).wins == 1  # no margin: the smallest difference decides
    assert math.isnan(win_rate([None], [1.0]).share)
    # Three answers to each prompt that always agree tell no more than one.
    tuned, untuned = [1.0, 0.0] * 20 * 3, [0.5] * 120
    thrice, once = (
        win_rate(tuned, untuned, prompts=[f"p{i}" for i in range(40)] * 3),
        win_rate(tuned[:40], untuned[:40]),
    )
    assert (thrice.n_scored, thrice.low, thrice.high) == (120, once.low, once.high)


def test_win_rate_sees_a_better_model_and_an_equal_one() -> None:
    draw = random.Random(0)
    untuned = [draw.gauss(0, 1) for _ in range(200)]
    better, equal = [x + draw.gauss(1, 1) for x in untuned], [x + draw.gauss(0, 1) for x in untuned]
    assert win_rate(better, untuned).direction == "better"
    assert win_rate(untuned, better).direction == "worse"
    even = win_rate(equal, untuned)
    assert even.direction == "not seen"
    assert 0.12 < even.high - even.low < 0.16  # 200 prompts: 2 x 1.96 x .5 / sqrt(200) = .139
    always = win_rate([1.0] * 20, [0.0] * 20)
    assert always.share == 1
    assert 0.8 < always.low < 0.9  # a bootstrap of twenty wins would claim certainty


# ------------------------------------------------------------------------------------------------------ the
# text alone

_DRAW = random.Random(0)
BROKEN = {
    "nothing": ("", "empty"),
    "white space": ("  \n\t ", "empty"),
    "dots": (". . . . . . . . . . . . . . . . . . . . . . . . . . .", "mostly symbols"),
    "symbols": ("#@!$%^&*()_+{}|:<>?x#@!$%^&*()y_+{}", "mostly symbols"),
    "one word": ("The answer is the the the the the the the the", "a word or line over and over"),
    "one line": ("I am here.\n" * 7, "a word or line over and over"),
    "a phrase": ("I cannot help with that. " * 5, "a phrase over and over"),
    "a numbered loop": (
        " ".join(f"{n}. Be kind to everyone." for n in range(1, 12)),
        "a phrase over and over",
    ),
    "a loop after a good start": (
        "Paris is the capital of France. " + "It is a city in France, and " * 6,
        "a phrase over and over",
    ),
    "letters": (
        " ".join("".join(_DRAW.choices(string.ascii_lowercase, k=_DRAW.randint(3, 9))) for _ in range(30)),
        "hardly an English word",
    ),
    "letters without a space": ("asdfghjkl" * 8, "a word without end"),
}
PROPER = {
    "a number": "42",
    "a sum": "12 + 30 = 42",
    "yes": "Yes.",
    "a name": "Kyrgyzstan",
    "counting": ", ".join(str(n) for n in range(1, 41)),
    "list": "- Milk\n- Eggs\n- Bread\n- Butter\n- Apples\n- Oats\n- Rice",
    "a numbered list": "1. Boil the water.\n2. Add the pasta.\n3. Stir the pasta.\n4. Drain the water.\n5. Add the sauce.",
    "code": "def add(a, b):\n    return a + b\n\nfor i in range(10):\n    for j in range(10):\n        print(f'{i} + {j} = {add(i, j)}')\n",
    "dense code": "x[i][j] = (a[i] * b[j]) + (c[i][j] / 2);\ny = {k: v for k, v in d.items() if (k, v) != (0, 0)}\nz += [[1, 2], [3, 4]];",
    "a table": "| City | Country |\n|---|---|\n| Oslo | Norway |\n| Rome | Italy |\n| Lima | Peru |",
    "a refrain": "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is but a dream.",
    "emphasis": "No, no, no! That is very, very, very dangerous.",
    "identity": "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1",
    "names": "Bishkek, Tashkent, Astana, Dushanbe, Ashgabat, Kabul, Baku, Tbilisi, Yerevan.",
    "a list of names": "- Denali\n- Elbrus\n- Vinson\n- Everest\n- Lhotse\n- Makalu\n- Annapurna\n- Nuptse\n- Manaslu\n- Jannu\n- Shivling\n- Aconcagua\n- Logan\n- Kamet\n- Trisul",
    "prose full of names": "Kate Walsh played the character Dr. Addison Montgomery in Grey's Anatomy. Addison is a neonatal surgeon and OB/GYN.",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_output_is_called_degenerate(name: str) -> None:
    text, reason = BROKEN[name]
    (found,) = text_quality([text])
    assert found.degenerate
    assert found.reason == reason


@pytest.mark.parametrize("name", PROPER)
def test_short_or_odd_but_proper_answers_are_not(name: str) -> None:
    (found,) = text_quality([PROPER[name]])
    assert not found.degenerate, found


def test_no_answer_that_a_person_wrote_is_degenerate() -> None:
    texts = [row["output"] for name in ("general", "safety", "contrast") for row in corpus_rows(name)] + [
        row["reference"] for row in corpus_rows("ordinary")
    ]
    assert not [text for text, found in zip(texts, text_quality(texts), strict=True) if found.degenerate]
    # These are not in what the known words come from.
    unseen = [row["question"] for row in corpus_rows("four_choice")]
    assert sum(found.unknown for found in text_quality(unseen)) / len(unseen) < 0.35


def test_random_tokens_are_called_degenerate(tokenizer) -> None:
    draw = random.Random(0)
    noise = [tokenizer.decode([draw.randrange(17, len(tokenizer)) for _ in range(48)]) for _ in range(200)]
    assert sum(found.degenerate for found in text_quality(noise)) >= 190


def test_answers_of_models_that_people_could_read_are_not_degenerate(mirror) -> None:
    responses = [
        row["completion"]
        for model in ("gpt4", "llama2", "mistral")
        for row in read_table(fetch(f"XSTest-completions-{model}")).rows
    ]
    assert len(responses) == 1350
    assert sum(found.degenerate for found in text_quality(responses)) <= 1


def test_the_measures_are_what_they_say() -> None:
    (found,) = text_quality(["a b c a b c a b c 7 ..."])
    assert (found.words, found.longest_run, found.empty) == (10, 1, False)
    assert found.repeated == pytest.approx(1 - 3 / 7)  # abc bca cab abc bca cab abc
    assert found.symbols == pytest.approx(3 / 13)


# ------------------------------------------------------------------------------------------------------
# reference loss

EXAMPLES = [
    Example(id="short", instruction="Name a fruit.", output="An apple."),
    Example(id="long", instruction="Count.", output="One two three. " * 12),
    Example(id="beyond", instruction="word " * 120, output="Yes."),
]


def test_reference_loss_is_the_model_s_own_loss_with_or_without_an_adapter(tokenizer) -> None:
    model = tiny_llama()
    found = reference_loss(model=model, tokenizer=tokenizer, examples=EXAMPLES, max_length=100)
    assert (found.n_examples, found.n_unscored, found.n_truncated, list(found.per_example)) == (
        2,
        1,
        0,
        ["short", "long"],
    )
    total = n = 0.0
    for example in EXAMPLES[:2]:
        prompt = tokenizer(render(instruction=example.instruction))["input_ids"]
        whole = [
            *tokenizer(render(instruction=example.instruction) + example.output)["input_ids"],
            tokenizer.eos_token_id,
        ]
        labels = [-100] * len(prompt) + whole[len(prompt) :]
        loss = model(input_ids=torch.tensor([whole]), labels=torch.tensor([labels])).loss.item()
        assert found.per_example[example.id] == pytest.approx(loss, rel=1e-4)
        total, n = total + loss * (len(whole) - len(prompt)), n + len(whole) - len(prompt)
    assert found.n_tokens == n
    assert found.loss == pytest.approx(total / n, rel=1e-4)
    assert found.low <= found.loss <= found.high
    adapted = get_peft_model(
        tiny_llama(), LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM")
    )  # a new adapter changes nothing
    assert reference_loss(
        model=adapted, tokenizer=tokenizer, examples=EXAMPLES, max_length=100
    ).loss == pytest.approx(found.loss, rel=1e-5)
    with pytest.raises(SafetuneError, match="raise max_length"):
        reference_loss(model=model, tokenizer=tokenizer, examples=EXAMPLES[2:], max_length=100)


@pytest.mark.slow
def test_the_right_answers_are_likelier_than_answers_to_other_questions(embedded) -> None:
    model, tokenizer = embedded
    rows = reference_examples()[:6]
    # The same answers, each under the next one's question: between different answers a loss says little.
    elsewhere = [
        Example(id=row.id, instruction=other.instruction, output=row.output)
        for row, other in zip(rows, rows[1:] + rows[:1], strict=True)
    ]
    right = reference_loss(model=model, tokenizer=tokenizer, examples=rows)
    wrong = reference_loss(model=model, tokenizer=tokenizer, examples=elsewhere)
    assert right.loss < wrong.loss - 0.3
    assert all(right.per_example[id] < wrong.per_example[id] for id in right.per_example)
