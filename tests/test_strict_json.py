"""JSON from outside: what Python's reader takes in silence or fails on is one line; all else is read as it
is.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safetune_utils import strict_json
from safetune_utils.errors import SafetuneError

REFUSED = [
    ('{"a": ' + "7" * 5000 + "}", "a number of 5000 digits"),
    ("[" * 100_000, "lists or objects inside one another to more than 100 levels"),
    ("[" * 101 + "]" * 101, "to more than 100 levels"),
    ('{"a":' * 101 + "1" + "}" * 101, "to more than 100 levels"),
    ('{"plate": "blue", "cup": 1, "plate": "red"}', "the key 'plate' twice in one object"),
    ('[{"in": {"a\\nb": 1, "a\\nb": 2}}]', r"the key 'a\nb' twice"),
    ('["half of a smile: \\ud83d"]', "half a character"),
    ('{"\\udc00": 1}', "half a character"),
    ('["a smile from the wrong end: \\udc00\\ud800"]', "half a character"),
    ("[1e999]", "too long or too large"),
    ("[0." + "3" * 200 + "]", "too long or too large"),
]


@pytest.mark.parametrize(("text", "needed"), REFUSED)
def test_what_is_json_and_yet_refused_is_told_in_one_line_with_the_file(
    text: str, needed: str, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.json"
    path.write_text(text, "utf-8")
    with pytest.raises(SafetuneError) as caught:
        strict_json.read(path, mend="write it again")
    said = str(caught.value)
    assert said.startswith(f"{path} ")
    assert needed in said
    assert said.endswith(": write it again")
    assert "\n" not in said


def test_what_is_no_json_is_told_with_its_line_and_a_wrong_encoding_with_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "theirs.json"
    path.write_text('{\n"a": 1,\noops\n}')
    with pytest.raises(SafetuneError, match=r"theirs\.json, line 3, is not JSON that can be read"):
        strict_json.read(path, mend="write it again")
    path.write_bytes('{"a": "Käse"}'.encode("latin-1"))
    with pytest.raises(SafetuneError, match=r"is not JSON in UTF-8 \(byte 8\): write it again"):
        strict_json.read(path, mend="write it again")


def test_everything_else_is_read_as_python_reads_it(tmp_path: Path) -> None:
    kept = [
        "[" * 100 + "]" * 100,
        "9" * 100,
        '["\\ud83d\\ude00 and \\\\ud83d as it is written"]',
        '{"a": [1, -2.5e-7, true, null, "x\\u2028"], "b": {"a": 1}}',
        "[NaN, Infinity]",
    ]
    for text in kept:
        assert repr(strict_json.parse(text)) == repr(json.loads(text))
    path = tmp_path / "mark.json"
    path.write_text('{"a": 1}', "utf-8-sig")
    assert strict_json.read(path, mend="") == {"a": 1}


def test_an_answer_that_was_paid_for_keeps_its_whole_characters() -> None:
    said = strict_json.parse('{"text": "a smile \\ud83d", "\\udc00": ["\\ud83d\\ude00"]}', halves=True)
    assert said == {"text": "a smile ?", "?": ["\U0001f600"]}
