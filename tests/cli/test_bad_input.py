"""Whatever is given to a command, what goes wrong is one line with the file or the value, and status 2."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from safetune_utils.cli import main
from safetune_utils.data import files

Run = Callable[..., tuple[object, str]]

NESTED = "[" * 100_000
CELL = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [], "source": ""}


def notebook(**metadata: object) -> str:
    kernel = {"name": "python3", "language": "python", "display_name": "Python"}
    about = {"kernelspec": kernel} | metadata
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": about, "cells": [CELL]})


# What is on the disk, by name.
THERE = {
    "ok.jsonl": '{"prompt": "Slice it.", "response": "Sliced."}\n',
    "digits.jsonl": '{"prompt": "Slice it.", "response": "Sliced.", "id": ' + "3" * 5000 + "}\n",
    "nested.json": NESTED,
    "twice.json": '[{"prompt": "Slice it.", "prompt": "Dice it.", "response": "a"}]',
    "half.jsonl": '{"prompt": "\\ud83d", "response": "a"}\n',
    "cut.json": '[{"prompt": "Slice',
    "empty.jsonl": "",
    "n.ipynb": notebook(),
    "number.ipynb": notebook(safetune=3),
    "list.ipynb": notebook(safetune={"schema": [1]}),
    "nested.ipynb": NESTED,
    "bare/adapter_config.json": "{}",
    "nested/adapter_config.json": NESTED,
    "nothing/readme.txt": "",
    "run.json": '{"notebooks": {"01": {"settings": null, "made": 3, "adapters": {}, "numbers": {}}}}',
}
SCORE = ["--output", "o.jsonl", "--scorer", "refusal-rules"]
CASES: list[tuple[list[str], str]] = [
    *(
        (command, f"{name}{needed}")
        for name, needed in (
            ("digits.jsonl", ", line 1: JSON that is not read (a number of 5000 digits): correct that line"),
            ("nested.json", " is JSON that is not read (lists or objects inside one another to more than"),
            ("twice.json", " is JSON that is not read (the key 'prompt' twice in one object): correct it"),
            ("half.jsonl", ", line 1: JSON that is not read (half a character in it): correct that line"),
            ("cut.json", ", line 1: not JSON (Unterminated string starting at): correct it"),
            ("empty.jsonl", " is empty: give it at least one row"),
        )
        for command in (
            ["score", "--input", name, *SCORE],
            ["generate", "--input", name, "--output", "o.jsonl"],
            ["preference", "make", "--first", name, "--second", "ok.jsonl", "--output", "o.html"],
            ["estimate", "-p", "general_data", name],
            ["finetune", "--data", name, "--output", "new", "--preset", "smoke"],
        )
    ),
    (["compare", "nested.json"], "nested.json is not JSON that can be read (lists or objects"),
    (["compare", "run.json"], "run.json is no published run"),
    (["compare", "nested.ipynb"], "nested.ipynb is not JSON that can be read (lists or objects"),
    (
        ["compare", "pocket", "pocket", "--output", "o.txt"],
        "o.txt is of no form that is written here: let it",
    ),
    (["run", "nested.ipynb"], "nested.ipynb is not JSON that can be read"),
    (["run", "number.ipynb"], "number.ipynb does not say what its parameters are"),
    (["run", "list.ipynb", "--help-notebook"], "list.ipynb does not say what its parameters are"),
    (["run", "n.ipynb", "--output", "n.ipynb"], "n.ipynb is also what is read: choose another name"),
    (["run", "01", "--output", "o.txt"], "o.txt is of no form that is written here: let it end in .ipynb"),
    (["run", "01", "-p", "seeds", "4" * 5000], "cannot be taken (a number of 5000 digits): write it anew"),
    (["publish", "../up"], "'../up' cannot name a published run"),
    (["score", "--input", "ok.jsonl", "--output", "ok.jsonl"], "ok.jsonl is also what is read"),
    (["score", "--input", "ok.jsonl", "--output", "o.doc"], "o.doc is of no form that is written here"),
    (["score", "--input", "nothing", "--output", "o.csv"], "nothing is no file: give the path of one of"),
    (
        ["score", "--input", "ok.jsonl", "--output", "ok.jsonl/o.csv"],
        "ok.jsonl: File exists: a file has",
    ),
    (["score", "--input", "ok.jsonl", "--output", "/proc/o.csv"], "/proc: "),
    (["score", "--input", "a\x1b[31m\nb.csv", "--output", "o.csv"], "a\ufffd[31m b.csv is not there"),
    (
        ["generate", "--input", "ok.jsonl", "--output", "o.csv", "--adapter", "nothing"],
        "nothing has no adapter",
    ),
    (
        ["generate", "--input", "ok.jsonl", "--output", "o.csv", "--adapter", "nested"],
        "adapter_config.json is",
    ),
    (["capability", "--task", "four_choice", "--adapter", "nothing"], "nothing has no adapter_config.json"),
    (
        ["preference", "tally", "--first", "ok.jsonl", "--second", "ok.jsonl", "x.json"],
        "'ok' and 'ok'",
    ),
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    for name, text in THERE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)

    def given(*arguments: str) -> tuple[object, str]:
        monkeypatch.setattr("sys.argv", ["safetune", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main.main()
        return stopped.value.code, capfd.readouterr().err

    return given


@pytest.mark.parametrize(("arguments", "needed"), CASES, ids=lambda value: " ".join(value)[:40])
def test_bad_input_is_one_line_that_names_it(arguments: list[str], needed: str, run: Run) -> None:
    status, said = run(*arguments)
    (line,) = said.splitlines()
    assert line.startswith("safetune: ")
    assert needed in line
    assert "not foreseen" not in line
    assert line.removeprefix("safetune: ").isprintable()
    assert status == 2


def test_an_adapter_that_the_library_cannot_read_is_one_line_that_names_it(run: Run) -> None:
    status, said = run("generate", "--input", "ok.jsonl", "--output", "o.csv", "--adapter", "bare")
    line = said.splitlines()[-1]
    assert "the adapter in bare on 'embedded' cannot be loaded (" in line
    assert "not foreseen" not in line
    assert status == 2


def test_what_no_one_foresaw_is_one_line_too_with_the_command_and_where_to_read_more(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(files, "_jsonl_rows", broken)
    status, said = run("score", "--input", "ok.jsonl", *SCORE)
    (line,) = said.splitlines()
    assert line.startswith(
        "safetune: score --input ok.jsonl --output o.jsonl --scorer refusal-rules: KeyError"
    )
    report = Path(line.rsplit(" ", 1)[1])
    assert "a fault of ours" in report.read_text()
    assert report.stat().st_mode & 0o077 == 0
    report.unlink()
    assert status == 2


def test_a_full_disk_is_one_line_and_the_scores_are_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    status, said = run("score", "--input", "ok.jsonl", *SCORE)
    (line,) = said.splitlines()
    (kept,) = tmp_path.glob("o-*.kept.jsonl")
    assert "o.jsonl could not be written (No space left on device: make room on the disk" in line
    assert kept.name in line
    assert json.loads(kept.read_text())["label"] == "compliance"
    assert status == 2
