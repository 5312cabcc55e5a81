"""Processes that train together: each takes its share of a batch, and what goes wrong in them is one line."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_training import ONE_THREAD

from safetune_utils.errors import SafetuneError
from safetune_utils.machine import distributed


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


def test_a_failure_in_the_processes_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    order = {"settings": {"preset": "pocket", "base_model": "/nowhere"}, "n_safety": 0, "seed": 0}
    with pytest.raises(SafetuneError, match="set SAFETUNE_PROCESSES to 1") as caught:
        distributed.launch("train-together", json.dumps(order), processes=2)
    assert "\n" not in str(caught.value)
    capfd.readouterr()
