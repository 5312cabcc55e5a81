"""A user's rows: prompts in the original's form, the paper's files, and what is said of a bad row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safetune_utils import data
from safetune_utils.errors import SafetuneError


def test_the_original_s_prompt_form_is_read_with_inputs_tags_and_repeats(tmp_path: Path) -> None:
    path = tmp_path / "I-Mine.json"
    path.write_text(
        json.dumps(
            {"instructions": ["Sort.", "Sort.", "Add."], "inputs": ["b a", None, ""], "tags": ["x", "y", "x"]}
        )
    )
    found = data.read_prompts(path, repeats=True)
    assert [(p.text, p.input, p.topic) for p in found] == [
        ("Sort.", "b a", "x"),
        ("Sort.", "", "y"),
        ("Add.", "", "x"),
    ]
    path.write_text(json.dumps({"instructions": ["Sort.", "Sort."], "inputs": []}))
    assert len(data.read_prompts(path, repeats=True)) == 2
    with pytest.raises(SafetuneError, match=r"row 2: it repeats row 1: remove one of the two"):
        data.read_prompts(path)


def test_the_paper_s_files_are_read_as_a_user_s(mirror: Path) -> None:
    for name in (
        "I-MaliciousInstructions",
        "I-CoNa",
        "I-Controversial",
        "I-PhysicalSafetySafe",
        "I-PhysicalSafetyUnsafe",
        "I-Alpaca",
        "Q-Harm",
        "XSTest",
    ):
        entry = data.registered_sets()[name]
        assert len(data.read_prompts(mirror / entry.relative, repeats=True)) == entry.rows
        assert set(data.read_table(mirror / entry.relative).rows[0]) <= {
            *entry.columns,
            "instruction",
            "input",
            "topic",
        }


BAD_ROWS = [
    (
        "jsonl",
        b'{"instruction": "a", "output": "b"}\n{"instruction": " ", "output": "b"}\n',
        "row 2: 'instruction' is missing or empty",
    ),
    (
        "jsonl",
        b'{"instruction": "a", "output": "b"}\n{"instruction": "c"}\n',
        "row 2: 'output' is missing or empty",
    ),
    (
        "jsonl",
        b'{"text": "a", "output": "b"}\n',
        "row 1 has no 'instruction' (it has text, output): name it instruction or prompt",
    ),
    (
        "jsonl",
        b'{"instruction": "a", "outputt": "b"}\n',
        "row 1 has no 'output' (it has instruction, outputt): rename 'outputt' to 'output'",
    ),
    ("csv", b"Instruction,output\na,b\n", "rename 'Instruction' to 'instruction'"),
    ("jsonl", b'{"instruction": "a", "output": 3}\n', "row 1: 'output' is a number, but it should be a text"),
    ("jsonl", b'{"instruction": "a", "output": "b", "input": ["c"]}\n', "row 1: 'input' is a list"),
    (
        "jsonl",
        b'{"instruction": "a", "output": "b"}\n{"instruction": "c", "output": "d"}\n'
        b'{"instruction": "a", "output": "b"}\n',
        "row 3: it repeats row 1",
    ),
    (
        "jsonl",
        b'{"id": 7, "instruction": "a", "output": "b"}\n{"id": 7, "instruction": "c", "output": "d"}\n',
        "row 2: it repeats the id of row 1",
    ),
]


@pytest.mark.parametrize(("form", "content", "needed"), BAD_ROWS)
def test_a_bad_row_is_one_line_with_its_number(
    tmp_path: Path, form: str, content: bytes, needed: str
) -> None:
    path = tmp_path / f"bad.{form}"
    path.write_bytes(content)
    with pytest.raises(SafetuneError) as caught:
        data.read_examples(path)
    assert needed in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
