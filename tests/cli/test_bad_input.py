"""Whatever is given to a command, what goes wrong is one line with the file or the value, and status 2, told
before anything slow is imported.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import bad_input
import pytest
from bad_input import ANSWERED, CASES, SCORE, Outcome
from command_line import in_this_process

from safetune_utils.data import files
from safetune_utils.generation import response_files

Run = Callable[..., tuple[object, str]]

# Twenty of the table, as real commands.
REAL = range(0, len(CASES), len(CASES) // 19)[:20]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bad") / "there"
    made.mkdir()
    return made


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> tuple[list[Outcome], list[Outcome]]:
    """What came of all wrong commands, and of some right ones, in one process that had imported nothing."""
    command = [sys.executable, bad_input.__file__, str(folder)]
    environment = os.environ | {"SAFETUNE_STORE": str(folder.parent / "store")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    refused, answered = json.loads(done.stdout.splitlines()[-1])
    return [Outcome(*one) for one in refused], [Outcome(*one) for one in answered]


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 200
    assert len(REAL) == 20


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_wrong_input_is_one_line_that_names_it_and_imports_nothing_slow(
    number: int, outcomes: tuple[list[Outcome], list[Outcome]]
) -> None:
    case, outcome = CASES[number], outcomes[0][number]
    assert outcome.kind == "refused", outcome.said
    assert case.needed in outcome.said
    assert case.judged or not outcome.imported


@pytest.mark.parametrize("number", range(len(ANSWERED)), ids=[" ".join(words) for words in ANSWERED])
def test_what_is_asked_for_most_imports_nothing_slow(
    number: int, outcomes: tuple[list[Outcome], list[Outcome]]
) -> None:
    outcome = outcomes[1][number]
    assert outcome.status == 0, outcome.said
    assert not outcome.imported


@pytest.mark.slow
@pytest.mark.parametrize("number", REAL, ids=[CASES[number].name for number in REAL])
def test_a_real_command_says_the_same(
    number: int, folder: Path, outcomes: tuple[list[Outcome], list[Outcome]]
) -> None:
    case = CASES[number]
    environment = {k: v for k, v in (os.environ | dict(case.environment)).items() if v}
    done = subprocess.run(
        [sys.executable, "-m", "safetune_utils", *case.words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (2, "", outcomes[0][number].said)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    bad_input.lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)

    def given(*arguments: str) -> tuple[object, str]:
        return in_this_process(*arguments), capfd.readouterr().err

    return given


def test_an_adapter_that_the_library_cannot_read_is_one_line_that_names_it(run: Run) -> None:
    status, said = run("generate", "--input", "ok.jsonl", "--output", "o.csv", "--adapter", "dreamt")
    line = said.splitlines()[-1]
    assert "dreamt/adapter_config.json cannot be read (" in line
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


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Out of memory interning an attribute name"),
        ImportError("libtorch_python.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
)
def test_too_little_memory_anywhere_is_one_line_that_says_so(
    error: Exception, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starved(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(response_files, "read_responses", starved)
    status, said = run("score", "--input", "ok.jsonl", *SCORE)
    (line,) = said.splitlines()
    assert line.startswith("safetune: there is not enough memory (")
    assert line.endswith("close other programs, or raise the limit (ulimit -v, or that of the job)")
    assert status == 2
