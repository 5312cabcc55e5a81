"""Rows in batches, the longest first, and results that a stopped run keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from safetune_utils.machine.batches import computed, kept_in, longest_first

LENGTHS = [2, 9, 4, 9, 1]


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        ({"rows": 2}, [[1, 3], [2, 0], [4]]),
        ({"tokens": 8}, [[1], [3], [2, 0], [4]]),  # a row over the bound is a batch by itself
        ({"tokens": 18, "rows": 3}, [[1, 3], [2, 0, 4]]),
        ({}, [[1, 3, 2, 0, 4]]),
    ],
)
def test_the_longest_rows_come_first_and_each_batch_keeps_its_bound(
    most: dict[str, int], expected: list[list[int]]
) -> None:
    assert list(longest_first(LENGTHS, **most)) == expected


def test_no_rows_make_no_batch() -> None:
    assert list(longest_first([], tokens=8)) == []


def test_the_bar_counts_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    list(longest_first(LENGTHS, rows=2, progress="reading", unit="answer"))
    shown = capsys.readouterr().err
    assert "reading" in shown
    assert "5/5" in shown


class _Stopped(BaseException):
    """As a kill would: nothing that catches errors catches it."""


def doubled(asked: list[int], *, stop_after: int = 99) -> Callable[[list[int]], list[int]]:
    """What to compute of a batch: twice each row's length. The places of rows are noted in ``asked``."""

    def compute(places: list[int]) -> list[int]:
        if len(asked) >= stop_after:
            raise _Stopped
        asked.extend(places)
        return [2 * LENGTHS[i] for i in places]

    return compute


def test_a_stopped_run_computes_the_rest_alone_and_a_damaged_line_again(tmp_path: Path) -> None:
    path, whole = tmp_path / "so-far.jsonl", [2 * length for length in LENGTHS]
    first: list[int] = []
    with pytest.raises(_Stopped), kept_in(path):
        computed(doubled(first, stop_after=4), LENGTHS, rows=2)
    assert first == [1, 3, 2, 0]
    again: list[int] = []
    with kept_in(path):
        assert computed(doubled(again), LENGTHS, rows=2) == whole
    assert again == [4]
    path.write_bytes(path.read_bytes().replace(b'"results": [8, 4]', b'"results": [8, 5]')[:-3])
    damaged: list[int] = []
    with kept_in(path):
        assert computed(doubled(damaged), LENGTHS, rows=2) == whole
    assert damaged == [2, 0, 4]


def test_results_of_other_rows_or_another_call_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "so-far.jsonl"
    with kept_in(path):
        computed(doubled([]), LENGTHS, rows=2)
    for more in ({"rows": 3}, {"rows": 2, "tokens": 9}):
        asked: list[int] = []
        with kept_in(path):
            computed(doubled(asked), LENGTHS, **more)
        assert len(asked) == 5
    second: list[int] = []
    with kept_in(path):
        computed(doubled([]), LENGTHS, rows=2)
        computed(doubled(second), LENGTHS, rows=2)
    assert len(second) == 5
    path.rename(tmp_path / "another.jsonl")
    renamed: list[int] = []
    with kept_in(tmp_path / "another.jsonl"):
        computed(doubled(renamed), LENGTHS, rows=2)
    assert len(renamed) == 5


def test_without_a_file_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert computed(doubled([]), LENGTHS, rows=2) == [2 * length for length in LENGTHS]
    assert not list(tmp_path.iterdir())
