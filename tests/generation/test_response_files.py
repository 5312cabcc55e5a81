"""Files of responses: what was asked travels with what was said, and two files are paired only where they
answer the same.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safetune_utils.data import Prompt
from safetune_utils.errors import SafetuneError
from safetune_utils.generation import response_files
from safetune_utils.settings import Reading


def written(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_instruction_and_input_are_one_request_in_every_form(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Count the letters.", "input": "fig", "output": "3"},
        {"instruction": "Count to two.", "input": None, "output": ""},
    ]
    asked, said = ["Count the letters.\n\nfig", "Count to two."], ["3", ""]
    original = {f"{name}s": [row[name] for row in rows] for name in rows[0]}
    (tmp_path / "a.json").write_text(json.dumps(original))
    (tmp_path / "a.csv").write_text("goal;input;said\nCount the letters.;fig;3\nCount to two.;;\n")
    named = Reading(columns={"instruction": "goal", "output": "said"})
    turns = [{"role": "user", "content": asked[0]}, {"role": "assistant", "content": "3"}]
    for path, reading, n in (
        (written(tmp_path / "a.jsonl", *rows), Reading(), 2),
        (tmp_path / "a.json", Reading(), 2),
        (tmp_path / "a.csv", named, 2),
        (written(tmp_path / "b.jsonl", {"messages": turns}), Reading(), 1),
    ):
        assert response_files.read_responses(path, reading=reading) == (asked[:n], said[:n])


def test_responses_may_repeat_and_be_empty_but_not_be_missing(tmp_path: Path) -> None:
    same = {"id": "a", "prompt": "Name a fruit.", "response": "Plum."}
    path = written(tmp_path / "a.jsonl", same, same, same | {"response": " "})
    assert response_files.read_responses(path) == (["Name a fruit."] * 3, ["Plum.", "Plum.", " "])
    path = written(tmp_path / "b.jsonl", same, same | {"response": None}, {"prompt": "Name a fruit."})
    with pytest.raises(SafetuneError, match=r"has 2 faults: rows 2, 3: 'response' is missing or empty"):
        response_files.read_responses(path)


def test_files_are_paired_only_where_every_row_answers_the_same_instruction_and_input(tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    prompts = ["Spell it.\n\nplum", "Spell it.\n\nfig", "Name a fruit."]
    response_files.check_paired(first, second, (prompts, list(prompts)))
    with pytest.raises(SafetuneError) as caught:
        response_files.check_paired(first, second, (prompts, ["Spell it.\n\nplums", *prompts[1:]]))
    asked = r"'Spell it.\n\nplum' here, 'Spell it.\n\nplums' there"
    assert str(caught.value) == f"{first} and {second}, row 1: {asked}: generate both from one file"
    with pytest.raises(SafetuneError, match="have 3 and 2 rows: generate both from one file"):
        response_files.check_paired(first, second, (prompts, prompts[:2]))


def test_the_original_s_form_says_in_which_form_the_prompts_were_asked(tmp_path: Path) -> None:
    path, prompts = tmp_path / "out.json", [Prompt(id="a", text="Name a fruit.")]
    for template in ("alpaca", "chat"):
        response_files.write_responses(
            path, prompts=prompts, responses=["Plum."], model="m", adapter=None, template=template
        )
        assert json.loads(path.read_text())["parameters"]["prompt_template"] == template
