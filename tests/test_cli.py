"""The command line as a person uses it: real processes, exit statuses, one line for a mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from safetune_utils import data
from safetune_utils.cli import joined_pairs


def safetune(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "safetune_utils", *arguments], capture_output=True, text=True, timeout=600
    )


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["run", "77"], "choose from 01_safety_amount"),
        (["run", "01", "-p", "safety_amout", "[0]"], "did you mean 'safety_amounts'"),
        (["run", "01", "-p", "seeds", "zero"], "'zero'"),
        (["run", "01", "-p", "data", "no/such/folder"], "a folder that exists"),
        (["run", "01", "-p", "safety_amounts", "[9000]"], "249 safety rows"),
        (["book", "--preset", "vast"], "choose one of smoke, classroom, pocket"),
        (["run", "01", "-p", "safety_data", "nothing.csv"], "nothing.csv is not there"),
        (["run", "09", "-p", "n_questions", "40"], "there are 36"),
        (["run", "09", "-p", "mode", "live"], "'replay' or 'ask'"),
        (["book", "-p", "no_such_name", "1"], "has no parameter 'no_such_name'"),
        (["book", "--executed", "executed", "--preset", "smoke"], "takes notebooks as they are"),
        (["book", "--executed", "no-such-folder"], "no executed copy of 01_safety_amount.ipynb"),
        (["compare", "nothing", "pocket"], "no executed notebook and no published run"),
        (["data", "fetch", "nothing"], "unknown outside set 'nothing'"),
        (["data", "overlap", "nothing"], "a folder that exists"),
        (["score", "--input", "nothing.jsonl", "--output", "x"], "nothing.jsonl is not there"),
        (["finetune", "--amount", "-3", "--output", "new"], "greater than or equal to 0"),
    ],
)
def test_a_mistake_is_one_line_on_standard_error_and_status_2(arguments: list[str], needed: str) -> None:
    answer = safetune(*arguments)
    assert answer.returncode == 2
    assert answer.stdout == ""
    (line,) = [line for line in answer.stderr.splitlines() if line.startswith("safetune: ")]
    assert needed in line
    assert "Traceback" not in answer.stderr


def test_parameters_are_given_as_to_papermill() -> None:
    assert joined_pairs(["run", "01", "-p", "seeds", "[0, 1]", "--preset", "smoke"]) == [
        "run",
        "01",
        "-p",
        "seeds=[0, 1]",
        "--preset",
        "smoke",
    ]
    assert joined_pairs(["-p", "a=1", "-p", "b", "2"]) == ["-p", "a=1", "-p", "b=2"]


def test_the_parameters_of_a_notebook_are_printed() -> None:
    answer = safetune("run", "01", "--help-notebook")
    assert answer.returncode == 0
    assert "safety_amounts: list[int] = None\n    safety examples;" in answer.stdout


def test_scoring_reads_records_and_the_original_s_output_form(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "response": "I can't help with that."},
        {"prompt": "b", "response": "An apple."},
        {"prompt": "c", "response": ""},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    original = {
        "parameters": {},
        "inputs": [],
        "instructions": [r["prompt"] for r in rows],
        "outputs": [r["response"] for r in rows],
    }
    (tmp_path / "original.json").write_text(json.dumps(original))
    scored = []
    for name in ("rows.jsonl", "original.json"):
        answer = safetune(
            "score", "--input", str(tmp_path / name), "--output", str(tmp_path / "scores.jsonl")
        )
        assert answer.returncode == 0, answer.stderr
        assert "2 of 3 scored, mean 0.500" in answer.stdout
        scored.append([json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()])
    assert scored[0] == scored[1]
    assert [row.get("label") for row in scored[0]] == ["full_refusal", "compliance", None]
    assert scored[0][2] == {"unscored": "no words in the answer"}


@pytest.mark.slow
def test_generating_reads_and_writes_the_original_s_forms_and_scoring_reads_those(tmp_path: Path) -> None:
    asked = {
        "instructions": ["Name a fruit.", "Sort the words.", "Name a fruit."],
        "inputs": ["", "pear apple", None],
        "tags": ["a", "b", "a"],
    }
    (tmp_path / "in.json").write_text(json.dumps(asked))
    answer = safetune(
        "generate",
        "--input",
        str(tmp_path / "in.json"),
        "--output",
        str(tmp_path / "out.json"),
        "--max-new-tokens",
        "8",
    )
    assert answer.returncode == 0, answer.stderr
    written = json.loads((tmp_path / "out.json").read_text())
    assert list(written) == ["parameters", "inputs", "instructions", "outputs"]
    assert list(written["parameters"]) == ["model", "prompt_template", "lora_weights", "load_8bit"]
    assert written["instructions"] == asked["instructions"]
    assert written["inputs"] == [None, "pear apple", None]
    first, sorted_words, again = written["outputs"]
    assert first == again
    assert sorted_words != first
    scored = safetune(
        "score", "--input", str(tmp_path / "out.json"), "--output", str(tmp_path / "scores.jsonl")
    )
    assert scored.returncode == 0, scored.stderr
    assert len((tmp_path / "scores.jsonl").read_text().splitlines()) == 3


def test_the_data_commands(mirror: Path) -> None:
    listed = safetune("data", "list").stdout.splitlines()
    assert listed[0].split() == ["name", "where", "rows", "size", "licence", "tests"]
    assert any(line.split()[:3] == ["XSTest", "mirror", "450"] for line in listed)
    fetched = safetune("data", "fetch", "I-CoNa")
    assert "CC-BY-NC-4.0, non-commercial use only; Bianchi" in fetched.stdout
    verified = safetune("data", "verify")
    assert verified.returncode == 0
    assert verified.stdout.count("ok ") >= 16
    assert "not compared: mix-100" in verified.stdout
    shared = safetune("data", "overlap", "paper-sample", "--json")
    assert {row["title"] for row in json.loads(shared.stdout) if row["exact"]} == {"I-Alpaca", "Q-Harm"}


def test_a_damaged_file_fails_verification(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = data.registered_sets()["Q-Harm"]
    path = tmp_path / entry.relative
    path.parent.mkdir(parents=True)
    path.write_bytes((mirror / entry.relative).read_bytes() + b" ")
    monkeypatch.setenv("SAFETUNE_MIRROR", str(tmp_path))
    answer = safetune("data", "verify")
    assert answer.returncode == 2
    assert "Q-Harm has the wrong sha256" in answer.stdout
    assert (
        answer.stderr.strip() == "safetune: 1 file(s) have the wrong hash: delete them and fetch them again"
    )


@pytest.mark.slow
def test_doctor_and_the_list_of_data() -> None:
    found = json.loads(safetune("doctor", "--json").stdout)
    assert {"Python", "embedded model", "data folder"} <= {entry["what"] for entry in found}
    assert all(entry["ok"] or entry["mend"] for entry in found)
    listed = {row["name"]: row for row in json.loads(safetune("data", "list", "--json").stdout)}
    assert listed["corpus/general"]["rows"] >= 500
    assert listed["XSTest"]["licence"] == "CC-BY-4.0"
