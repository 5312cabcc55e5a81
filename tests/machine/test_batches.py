"""Rows in batches, the longest first."""

from __future__ import annotations

import pytest

from safetune_utils.machine.batches import longest_first

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
