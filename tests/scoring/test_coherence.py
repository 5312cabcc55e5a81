"""Coherence: what the text alone gives away."""

from __future__ import annotations

import random
import string

import pytest

from safetune_utils.data import corpus_rows, fetch, read_table
from safetune_utils.scoring.coherence import text_quality

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
    "a numbered list": (
        "1. Boil the water.\n2. Add the pasta.\n3. Stir the pasta.\n4. Drain the water.\n5. Add the sauce."
    ),
    "code": (
        "def add(a, b):\n    return a + b\n\nfor i in range(10):\n    for j in range(10):\n"
        "        print(f'{i} + {j} = {add(i, j)}')\n"
    ),
    "dense code": (
        "x[i][j] = (a[i] * b[j]) + (c[i][j] / 2);\ny = {k: v for k, v in d.items() if (k, v) != (0, 0)}\n"
        "z += [[1, 2], [3, 4]];"
    ),
    "a table": "| City | Country |\n|---|---|\n| Oslo | Norway |\n| Rome | Italy |\n| Lima | Peru |",
    "a refrain": (
        "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is but a "
        "dream."
    ),
    "emphasis": "No, no, no! That is very, very, very dangerous.",
    "identity": "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1",
    "names": "Bishkek, Tashkent, Astana, Dushanbe, Ashgabat, Kabul, Baku, Tbilisi, Yerevan.",
    "a list of names": (
        "- Denali\n- Elbrus\n- Vinson\n- Everest\n- Lhotse\n- Makalu\n- Annapurna\n- Nuptse\n- Manaslu\n"
        "- Jannu\n- Shivling\n- Aconcagua\n- Logan\n- Kamet\n- Trisul"
    ),
    "prose full of names": (
        "Kate Walsh played the character Dr. Addison Montgomery in Grey's Anatomy. Addison is a neonatal "
        "surgeon and OB/GYN."
    ),
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
