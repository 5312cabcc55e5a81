"""A subprocess does what this process does, and several go side by side."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from subprocess_work import fail, meet, touch

from safetune_utils.errors import SafetuneError
from safetune_utils.machine import processes
from safetune_utils.machine.processes import Piece


def test_what_a_subprocess_raises_is_raised_here_and_its_death_is_one_line() -> None:
    assert processes.in_subprocess(os.getpid) != os.getpid()
    with pytest.raises(SafetuneError, match="no row has an answer"):
        processes.in_subprocess(fail)
    with pytest.raises(SafetuneError, match="want of memory"):
        processes.in_subprocess(os._exit, 9)


def test_a_subprocess_has_the_threads_that_it_is_given() -> None:
    assert processes.in_subprocess(torch.get_num_threads, threads=1) == 1


def test_pieces_go_side_by_side_and_a_failure_stops_what_was_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFETUNE_AT_ONCE", "2")
    # Each of the two waits for the other.
    processes.side_by_side([Piece(meet, (tmp_path / name,)) for name in "ab"], bytes_each=1)
    monkeypatch.setenv("SAFETUNE_AT_ONCE", "1")
    others = [Piece(touch, (tmp_path / str(i),)) for i in range(9)]
    with pytest.raises(SafetuneError, match="no row has an answer"):
        processes.side_by_side([Piece(fail), *others], bytes_each=1)
    assert not list(tmp_path.glob("[0-9]"))
    monkeypatch.setenv("SAFETUNE_AT_ONCE", "0")
    with pytest.raises(SafetuneError, match="whole number"):
        processes.side_by_side(others[:1], bytes_each=1)


def test_memory_and_the_number_of_pieces_bound_how_many_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert processes.at_once(5, bytes_each=1) == 5
    assert processes.at_once(50, bytes_each=1) == 8
    assert processes.at_once(5, bytes_each=1e15) == 1
    monkeypatch.setenv("SAFETUNE_PROCESSES", "2")  # each adapter is trained by two already
    assert processes.at_once(5, bytes_each=1) == 1
