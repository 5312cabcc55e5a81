"""Words for messages about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetune_utils.errors import SafetuneError, did_you_mean, first_line, of_system


@pytest.mark.parametrize(
    ("message", "expected"),
    [("one\ntwo", "one"), ("\n  one\n", "one"), ("", "OSError"), (" \n", "OSError")],
)
def test_a_foreign_error_gives_its_first_line_or_its_name(message: str, expected: str) -> None:
    assert first_line(OSError(message)) == expected


def test_the_nearest_word_is_offered_else_all() -> None:
    assert did_you_mean("sedes", ["amounts", "seeds"], otherwise="choose from") == "did you mean 'seeds'?"
    assert did_you_mean("x", ["amounts", "seeds"], otherwise="choose from") == "choose from amounts, seeds"


def test_what_the_system_refuses_is_told_with_the_path_and_the_mend(tmp_path: Path) -> None:
    told = {}
    for name, path in (("missing", tmp_path / "no" / "such"), ("folder", tmp_path)):
        with pytest.raises(OSError, match="directory") as caught:
            path.read_text()
        told[name] = of_system(caught.value)
    assert told == {
        "missing": f"{tmp_path / 'no' / 'such'}: No such file or directory: give a path that is there",
        "folder": f"{tmp_path}: Is a directory: it is a folder, so name a file in it",
    }
    full = OSError(28, "No space left on device")
    assert of_system(full) == "No space left on device: make room on the disk, or choose another place"
    assert of_system(ConnectionError("the hub\nis away")) == "the hub"


def test_a_message_is_one_line_whatever_it_repeats() -> None:
    said = str(SafetuneError("the file 'a\nb\u2028c\x1b[31m\u202e\ud83d  é.csv' is empty"))
    assert said == "the file 'a b c\ufffd[31m\ufffd\ufffd  é.csv' is empty"
    assert str(SafetuneError(said)) == said
