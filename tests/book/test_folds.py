"""Folded texts: untrusted text is inert, outside text is withheld."""

from __future__ import annotations

from safetune_utils.book import folds


def test_model_output_is_escaped_and_folded() -> None:
    page = folds.examples(responses(), prompt_set="malicious").data
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert page.startswith("<details")
    assert " open" not in page.split(">")[0]


def test_outside_prompts_and_answers_are_withheld() -> None:
    missing = responses()
    missing.loc[missing.index[0], "label"] = None
    assert "(unscored)" in folds.examples(missing, prompt_set="malicious").data
    assert "has no ordinary instructions" in folds.examples(responses(), prompt_set="ordinary").data
    page = folds.examples(
        responses(data="paper-sample", prompt="a prompt of theirs"), prompt_set="malicious"
    ).data
    assert "theirs" not in page
    assert "script" not in page
