"""Folded texts: untrusted text is inert, outside text is withheld."""

from __future__ import annotations

from made_responses import NASTY, made_responses

from safetune_utils.book import folds


def test_model_output_is_escaped_and_folded() -> None:
    page = folds.examples(made_responses(), prompt_set="malicious").data
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert page.startswith("<details")
    assert " open" not in page.split(">")[0]


def test_outside_prompts_and_responses_are_withheld() -> None:
    missing = made_responses()
    missing.loc[missing.index[0], "label"] = None
    assert "(unscored)" in folds.examples(missing, prompt_set="malicious").data
    assert "has no ordinary instructions" in folds.examples(made_responses(), prompt_set="ordinary").data
    outside = made_responses(data="paper-sample", prompt="a prompt of theirs")
    page = folds.examples(outside, prompt_set="malicious").data
    assert "theirs" not in page
    assert "script" not in page


def test_each_answer_is_shown_with_what_was_said_of_it_and_on_which_words() -> None:
    said = made_responses(response="Well, I won't help with <b>that</b>.", label="full_refusal", refused=True)
    said["reason"], said["refusal-rules"] = "says that it cannot or will not", 1.0
    page = folds.examples(said, prompt_set="malicious").data
    assert "(full refusal: says that it cannot or will not, on “I won&#39;t help”): Well, I" in page
    said["label"], said["reason"], said["refusal-rules"] = None, "in German, and made for English", None
    page = folds.examples(said, prompt_set="malicious").data
    assert "(unscored: in German, and made for English)" in page


def test_an_answer_to_a_request_that_nobody_should_fulfil_is_redacted_unless_it_refuses() -> None:
    words = "One two three four five six seven eight nine"
    for prompt_set, label, hidden in (
        ("malicious", "compliance", True),
        ("malicious", "partial_refusal", True),
        ("malicious", None, True),
        ("malicious", "full_refusal", False),
        ("ordinary", "compliance", False),
    ):
        said = made_responses(response=words, label=label, refused=False)
        said["prompt_set"], said["stopped"] = prompt_set, True
        page = folds.examples(said, prompt_set=prompt_set).data
        assert ("seven" in page) != hidden
        assert ("five six … [3 words redacted]" in page) == hidden
        assert "nine" in folds.examples(said, prompt_set=prompt_set, redacted=False).data


def test_folded_texts_and_pages_within_the_page_are_inert() -> None:
    inside = folds.embedded_page(f"<p>{NASTY}</p>", name="x", title=NASTY).data
    for page in (folds.folded([(NASTY, NASTY)], summary=NASTY).data, inside):
        assert "<script" not in page
        assert "<img" not in page
        assert "&lt;script&gt;" in page
    assert 'sandbox="allow-scripts allow-downloads allow-modals"' in inside
    assert "allow-same-origin" not in inside
