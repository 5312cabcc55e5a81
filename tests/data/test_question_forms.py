"""Questions for instructions: what the rules leave out, opinions, the paper's file, and the matching."""

from __future__ import annotations

import json

import pytest

from safetune_utils import data
from safetune_utils.data import question_forms
from safetune_utils.data.question_forms import Rewriting, as_opinion, as_question, first_turn, match


@pytest.mark.parametrize(
    "instruction",
    [
        "",
        "  . ",
        "Sing.",
        "Rank the colours by warmth.",  # no rule
        "Analyze the war.",  # a topic, not an answer
        "Research painters in the Netherlands.",  # a topic too
        "Research the history of tea and summarize it in a table.",  # two tasks
        "Explain why you would or would not dance.",
        "Argue why dancing is or isn't a sport.",
        "Debate whether tea or coffee tastes better.",
        "Explain how snails sleep.",  # asks for "do" before an unknown subject
        "Research the sports car with four doors.",  # a head that is not clear
        "Explain how to prune a rose. Use short words.",  # two sentences
    ],
)
def test_what_no_rule_fits_is_left_out(instruction: str) -> None:
    assert as_question(instruction) is None


@pytest.mark.parametrize(
    "question",
    ["How do I prune a rose?", "Find out: why is the sky blue?", "Can you compose a song about rain?"],
)
def test_what_is_a_question_already_is_left_out(question: str) -> None:
    assert as_question(question) is None


def test_white_space_and_full_stops_do_not_matter() -> None:
    assert as_question("  Explain how to\n prune a rose  ") == as_question("Explain how to prune a rose.")
    assert as_question('Identify the meaning of the word "tea."') == Rewriting(
        'What is the meaning of the word "tea"?', "an answer"
    )


@pytest.mark.parametrize(
    ("instruction", "opinion"),
    [
        ("Explain why tea is better than coffee.", "Do you think that tea is better than coffee?"),
        ("Describe why cats rule the world.", "Do you think that cats rule the world?"),
        ("Write a reason why Ann should win.", "Do you think that Ann should win?"),
        ("Name four reasons why snow is a nuisance.", "Do you think that snow is a nuisance?"),
        ("Prove that the moon is made of cheese.", "Do you think that the moon is made of cheese?"),
    ],
)
def test_a_claim_is_asked_as_an_opinion(instruction: str, opinion: str) -> None:
    assert as_opinion(instruction) == Rewriting(opinion, "claim")


@pytest.mark.parametrize(
    "instruction",
    [
        "",
        "Explain how to brew tea.",
        "Explain why you like tea.",
        "Explain why not to drink tea.",
        "Explain why tea is or is not good.",
        "Do you think that tea is good?",
    ],
)
def test_what_is_no_claim_has_no_opinion_form(instruction: str) -> None:
    assert as_opinion(instruction) is None


@pytest.mark.usefixtures("mirror")
def test_the_papers_file_is_covered_as_documented_and_every_question_has_the_form_of_one() -> None:
    rows = json.loads(data.fetch("safety-instructions").read_text(encoding="utf-8"))
    rewritten = [found for row in rows if (found := as_question(row["instruction"]))]
    assert len(rows) == 2483
    assert len(rewritten) >= 2116
    assert "on all, 2,116, and leave out 367" in " ".join((question_forms.__doc__ or "").split())
    for question, _ in rewritten:
        assert question[0].isupper() or not question[0].isalpha()
        assert question.endswith("?")
        assert question.count("?") == 1
        assert "{" not in question


@pytest.mark.usefixtures("mirror")
def test_every_prompt_of_i_controversial_has_an_opinion_form() -> None:
    prompts = data.prompts("paper-sample", "controversial")
    assert len(prompts) == 40
    assert all(as_opinion(prompt.text) for prompt in prompts)


TRANSCRIPTS = [
    "\n\nHuman: How can I keep the slugs away from my salad?\n\nAssistant: Try copper."
    "\n\nHuman: And the snails?\n\nAssistant: Likewise.",
    "\n\nHuman: What's the best way to wax a wooden sledge\n\nAssistant: Warm it first.",
    "\n\nHuman: Do you like the opera?",
    "\n\nAssistant: Hello!",
]


def test_the_first_turn_is_what_the_human_says_first_and_nothing_else() -> None:
    assert [first_turn(transcript) for transcript in TRANSCRIPTS] == [
        "How can I keep the slugs away from my salad?",
        "What's the best way to wax a wooden sledge",
        "Do you like the opera?",
        "",
    ]
    assert first_turn("\n\nHuman: Two\n\nparagraphs\n\nAssistant: Yes.") == "Two\n\nparagraphs"


def test_an_instruction_is_matched_to_the_question_it_was_made_from_and_an_unrelated_one_to_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    questions = [first_turn(transcript) for transcript in TRANSCRIPTS]
    instructions = [
        "Paint the garden fence.",
        "Research the best way to wax a wooden sledge.",
        "Explain how to keep the slugs away from your salad.",
        "",
    ]
    found = match(instructions, questions, at_least=70)
    assert {number: text for number, (text, _) in found.items()} == {1: questions[1], 2: questions[0]}
    assert all(70 <= similarity <= 100 for _, similarity in found.values())
    monkeypatch.setattr(question_forms, "_CHUNK", 1)  # the numbers hold over the chunks
    assert match(instructions, questions, at_least=70) == found


def test_the_threshold_decides_and_the_same_words_are_most_similar() -> None:
    assert match(["Wax a sledge!"], ["wax a sledge"]) == {0: ("wax a sledge", 100.0)}
    assert match(["Wax a sledge."], ["Wax a wooden sledge by the door?"]) == {}
    assert list(match(["Wax a sledge."], ["Wax a wooden sledge by the door?"], at_least=40)) == [0]
    assert match(["Wax a sledge."], []) == {}
    assert match([], ["Wax a sledge?"]) == {}


def test_the_threshold_finds_the_books_own_pairs_and_nothing_else() -> None:
    rows = data.safety_examples("embedded")
    pairs = [(row.instruction, row.question) for row in rows]
    instructions, questions = map(list, zip(*pairs, strict=True))
    found = match(instructions, questions)
    assert len(found) >= 270
    assert all(text == questions[number] for number, (text, _) in found.items())
    half = len(pairs) // 2
    assert not match(instructions[:half], questions[half:])
