"""Processes that train one adapter together: rank, world size, all-reduce, and how they find one another.

Each process computes its shard of every batch, and gradients are summed over all processes (all-reduce), so
the result is that of one process up to rounding. They are subprocesses, also of a notebook: a kernel that
sees several GPUs would otherwise use them in ways that nobody asked for. Those that ``accelerate launch``
starts find one another in its way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from safetune_utils.errors import SafetuneError
from safetune_utils.machine.device import n_gpus

if TYPE_CHECKING:
    import torch

_Value = TypeVar("_Value")
# accelerate's own variable: its processes talk over the CPU also where there are GPUs.
_USE_CPU = "ACCELERATE_USE_CPU"
# Names the file by which processes that we start find one another.
_MEETING = "SAFETUNE_MEETING"


def rank() -> int:
    """The rank of this process: its number among those that train together, from 0."""
    return _of_launcher("RANK", 0)


def world_size() -> int:
    """How many processes train together; 1 where nobody started more."""
    return _of_launcher("WORLD_SIZE", 1)


def processes_wanted(device: str = "cuda") -> int:
    """How many processes are to train an adapter, 1 or more.

    It is the environment variable ``SAFETUNE_PROCESSES``, else one for each visible GPU, else 1. On the CPU
    (``device`` is ``cpu``) GPUs do not count.

    Raises:
        SafetuneError: the variable is not a whole number from 1.
    """
    return (
        whole_number("SAFETUNE_PROCESSES")
        if "SAFETUNE_PROCESSES" in os.environ
        else max(1, n_gpus() if device != "cpu" else 1)
    )


def device_index() -> int:
    """The index of the GPU that this process uses, from 0."""
    return _of_launcher("LOCAL_RANK", 0)


def shard(rows: list[_Value]) -> list[_Value]:
    """The rows of a batch that this process computes: every ``world_size``-th, from its rank on."""
    return rows[rank() :: world_size()]


def all_reduce(tensors: Iterable[torch.Tensor]) -> None:
    """Replace tensors, in place, by their sums over all processes; one process alone changes nothing.

    Args:
        tensors: of any shapes, the same in every process and in the same order. They are summed in fp32.
    """
    if world_size() == 1:
        return
    import torch

    _join()
    kept = list(tensors)
    flat = torch.cat([tensor.flatten().float() for tensor in kept])
    torch.distributed.all_reduce(flat)
    for tensor, summed in zip(kept, flat.split([tensor.numel() for tensor in kept]), strict=True):
        tensor.copy_(summed.view_as(tensor))


def gather(value: _Value) -> list[_Value]:
    """The values of all processes, in the order of their ranks; every process gets them all."""
    if world_size() == 1:
        return [value]
    import torch

    _join()
    values: list[Any] = [None] * world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def _join() -> None:
    """Connect to the other processes; only the first call does anything."""
    import torch

    if torch.distributed.is_initialized():
        return
    from accelerate import PartialState
    from accelerate.utils import check_cuda_p2p_ib_support

    cpu = not n_gpus() or os.environ.get(_USE_CPU) == "true"
    if not cpu and not check_cuda_p2p_ib_support():  # as `accelerate launch` does
        os.environ |= {"NCCL_P2P_DISABLE": "1", "NCCL_IB_DISABLE": "1"}
    how: dict[str, Any] = {}
    if meeting := os.environ.get(_MEETING):
        store = torch.distributed.FileStore(meeting, world_size())
        how = {"store": store, "rank": rank(), "world_size": world_size()}
    PartialState(cpu=cpu, **how)


def environment(
    rank: int, processes: int, *, meeting: Path, threads: int, device: str = "auto"
) -> dict[str, str]:
    """What one of several processes of this machine that train together finds in its environment.

    They talk over the loopback interface, and what they need to find one another stands in a file: nothing
    can be reached from another machine.

    Args:
        rank: its number, from 0.
        processes: how many there are.
        meeting: a file that is not there yet, the same for all, in a folder of this user alone.
        threads: CPU threads of each.
        device: ``cpu`` where they are to leave the GPUs alone.
    """
    interfaces = psutil.net_if_addrs()
    loopback = next(
        name for name, found in interfaces.items() if any(a.address == "127.0.0.1" for a in found)
    )
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "OMP_NUM_THREADS": str(threads),
        "GLOO_SOCKET_IFNAME": loopback,
        "NCCL_SOCKET_IFNAME": loopback,
        _MEETING: str(meeting),
    } | ({_USE_CPU: "true"} if device == "cpu" else {})


def whole_number(variable: str) -> int:
    """The value of an environment variable that is set, as a whole number from 1.

    Raises:
        SafetuneError: it is not one.
    """
    given = os.environ[variable]
    if not _is_whole(given, 1):
        raise SafetuneError(f"{variable} is '{given[:60]}': give a whole number from 1, or unset it")
    return int(given)


def _is_whole(given: str, least: int) -> bool:
    return re.fullmatch("[0-9]{1,9}", given) is not None and int(given) >= least


def _of_launcher(variable: str, least: int) -> int:
    """What a launcher set, or the least where none did.

    Raises:
        SafetuneError: it is not a whole number from that.
    """
    given = os.environ.get(variable)
    if given is None:
        return least
    if not _is_whole(given, least):
        raise SafetuneError(
            f"{variable} is '{given[:60]}', which a launcher sets to a whole number from {least}: unset it"
        )
    return int(given)
