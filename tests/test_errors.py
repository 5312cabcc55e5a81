"""Words for messages about mistakes."""

from __future__ import annotations

import pytest

from safetune_utils.errors import did_you_mean, first_line


@pytest.mark.parametrize(
    ("message", "expected"),
    [("one\ntwo", "one"), ("\n  one\n", "one"), ("", "OSError"), (" \n", "OSError")],
)
def test_a_foreign_error_gives_its_first_line_or_its_name(message: str, expected: str) -> None:
    assert first_line(OSError(message)) == expected


def test_the_nearest_word_is_offered_else_all() -> None:
    assert did_you_mean("sedes", ["amounts", "seeds"], otherwise="choose from") == "did you mean 'seeds'?"
    assert did_you_mean("x", ["amounts", "seeds"], otherwise="choose from") == "choose from amounts, seeds"
