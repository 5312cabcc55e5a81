"""Processes that train together: each takes its share of a batch, and what goes wrong in them is one line."""

from __future__ import annotations

import multiprocessing

import pytest
import torch
from subprocess_work import fail, killed, one_fails, sums_and_doors

from safetune_utils.errors import SafetuneError
from safetune_utils.machine import distributed
from safetune_utils.machine.processes import together


def test_the_shards_of_all_ranks_are_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    shards = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        shards.append(distributed.shard(list(range(8))))
    assert sorted(row for shard in shards for row in shard) == list(range(8))
    assert sorted(map(len, shards)) == [2, 3, 3]


def test_alone_there_is_nothing_to_sum_or_to_gather() -> None:
    tensor = torch.tensor([1.0, 2.0])
    distributed.all_reduce([tensor])
    assert tensor.tolist() == [1.0, 2.0]
    assert distributed.gather("mine") == ["mine"]
    assert distributed.shard([1, 2]) == [1, 2]


def test_how_many_processes_are_wanted_is_a_whole_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ("two", "0", "-1", "1.5"):
        monkeypatch.setenv("SAFETUNE_PROCESSES", given)
        with pytest.raises(SafetuneError, match="give a whole number from 1"):
            distributed.processes_wanted()
    monkeypatch.setenv("SAFETUNE_PROCESSES", "3")
    assert distributed.processes_wanted() == 3


@pytest.mark.slow
def test_processes_that_train_together_listen_on_this_machine_alone() -> None:
    found = together(sums_and_doors, processes=2)
    assert [total for total, _ in found] == [3.0, 3.0]
    assert all(doors for _, doors in found)
    assert {door for _, doors in found for door in doors} == {"127.0.0.1"}


@pytest.mark.slow
def test_where_one_process_fails_the_cause_is_told_and_none_is_left(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SafetuneError, match="no row has an answer"):
        together(one_fails, fail, processes=2)
    with pytest.raises(SafetuneError, match=r"was killed.* SAFETUNE_PROCESSES to 1"):
        together(one_fails, killed, processes=2)
    assert multiprocessing.active_children() == []
    assert "Traceback" not in capfd.readouterr().err
