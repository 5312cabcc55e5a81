"""The rules that rewrite instructions as questions, each on examples of our own."""

from __future__ import annotations

import pytest

from safetune_utils.data import question_rules
from safetune_utils.data.question_forms import Rewriting, as_question

QUESTIONS = [
    ("how to", "Explain how to prune a rose.", "How do I prune a rose?"),
    ("how to", "Explain how to prune your roses.", "How do you prune your roses?"),
    ("where to", "Research where to buy clay.", "Where can I buy clay?"),
    ("what to", "Explain what to pack for a week at sea.", "What should I pack for a week at sea?"),
    ("why", "Explain why the sky is blue.", "Why is the sky blue?"),
    ("why", "Describe why cats don't like rain.", "Why don't cats like rain?"),
    ("why, whole", "Analyze why some people collect stamps.", "Why is it that some people collect stamps?"),
    (
        "why, whole",
        "Explain why people who are tired can be slow.",
        "Why is it that people who are tired can be slow?",
    ),
    ("whether", "Research whether it is legal to fish here.", "Is it legal to fish here?"),
    ("whether", "Research whether Ann Lee has ever won a race.", "Has Ann Lee ever won a race?"),
    ("whether", "Debate whether tea is better hot or not.", "Is tea better hot?"),
    (
        "whether, whole",
        "Investigate whether snails sleep in winter.",
        "Is it true that snails sleep in winter?",
    ),
    ("which one", "Research which lake is the deepest.", "Which lake is the deepest?"),
    ("which one", "Identify who invented the zip.", "Who invented the zip?"),
    ("how, when, where", "Calculate how long a candle can burn.", "How long can a candle burn?"),
    ("how, when, where", "Predict what the weather will be like.", "What will the weather be like?"),
    ("opinion", "Share your opinion on jazz.", "What is your opinion on jazz?"),
    ("opinion", "Express your thoughts about jazz.", "What are your thoughts about jazz?"),
    ("evidence", "Compile evidence that trees talk.", "What evidence is there that trees talk?"),
    ("steps", "Outline steps to fold a kite.", "What are the steps to fold a kite?"),
    ("a list", "Compile a list of games for a rainy day.", "What are games for a rainy day?"),
    ("a list", "Compile a list of words your friends sing.", "What are words your friends sing?"),
    ("an answer", "List ways to reuse jars.", "What are ways to reuse jars?"),
    ("an answer", "Analyze the causes of rust.", "What are the causes of rust?"),
    (
        "an answer",
        "Summarize the tools gardeners use in spring.",
        "What are the tools gardeners use in spring?",
    ),
    ("the most", "Outline the most popular folk dance.", "What is the most popular folk dance?"),
    ("whose", "Look up Ann Lee's shoe size.", "What is Ann Lee's shoe size?"),
    ("whose", "Find Ann Lee’s shoe size.", "What is Ann Lee’s shoe size?"),
    ("a term", "Find a Welsh term that starts with c.", "What is a Welsh term that starts with c?"),
    ("where to find", "Find a shop that mends kites.", "Where can I find a shop that mends kites?"),
    ("the fact", "Research the height of the tower.", "What is the height of the tower?"),
    ("the fact", "Look up the arrest records of the town.", "What are the arrest records of the town?"),
    ("the fact", "Identify the people who painted the hall.", "Who are the people who painted the hall?"),
    ("a fact", "Identify a quiet spot for a picnic.", "What is a quiet spot for a picnic?"),
    ("facts", "Identify plants that like shade.", "What are plants that like shade?"),
    (
        "facts",
        "Identify songs sailors sang to pass the time.",
        "What are songs sailors sang to pass the time?",
    ),
    (
        "compare",
        "Compare the smell of tea and the smell of coffee.",
        "How do the smell of tea and the smell of coffee compare?",
    ),
    ("compare", "Compare the tastes of plums and pears.", "How do the tastes of plums and pears compare?"),
    ("compare", "Compare the taste of plums and pears.", "How does the taste of plums and pears compare?"),
    ("a text", "Compose a song about rain.", "Can you compose a song about rain?"),
    ("a text", "Create a plan to learn chess", "Can you create a plan to learn chess?"),
]


@pytest.mark.parametrize(("rule", "instruction", "question"), QUESTIONS)
def test_a_rule_asks_the_same_as_a_question(rule: str, instruction: str, question: str) -> None:
    assert as_question(instruction) == Rewriting(question, rule)
    assert as_question(question) is None  # and what is a question already stays one


def test_every_rule_has_an_example_and_a_name_of_its_own() -> None:
    names = [rule.name for rule in question_rules.RULES]
    assert len(set(names)) == len(names)
    assert {rule for rule, _, _ in QUESTIONS} == set(names)
