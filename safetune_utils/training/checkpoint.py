"""The state of a training run on disk, so that a run that was stopped goes on where it was.

The file begins with a line that holds a hash of its own name and of all that follows, so that one that was
cut, changed or is another run's is known.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, TypedDict

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from torch.optim.lr_scheduler import LambdaLR

from safetune_utils.errors import first_line
from safetune_utils.machine import distributed
from safetune_utils.machine.files import replacing
from safetune_utils.terminal import say

# The key of the random states in the saved file; older checkpoints have it, so it stays.
_RANDOM_STATES = "chance"


class StepLosses(TypedDict):
    """The losses of one optimiser step, in nats per learned token; lower is better.

    ``validation_loss`` is nan where it was not measured.
    """

    step: int
    train_loss: float
    validation_loss: float


class RunState(TypedDict):
    """How far a training run has come.

    With the weights, the optimiser, the schedule and the random states it is everything that the next step
    depends on, except the plan of batches, which follows from the seed.

    Attributes:
        step: optimiser steps made.
        n_tokens: tokens of all rows trained on, prompts included.
        skipped: steps that changed nothing, because the gradient overflowed in fp16.
        losses: those of each step.
        best_loss: the lowest validation loss in nats per learned token, infinite before the first.
        best_step: the step after which it was measured; 0 before the first.
        best_weights: the adapter's tensors at that step; ``None`` before the first.
    """

    step: int
    n_tokens: int
    skipped: int
    losses: list[StepLosses]
    best_loss: float
    best_step: int
    best_weights: dict[str, torch.Tensor] | None


def copy_weights(adapted: PeftModel) -> dict[str, torch.Tensor]:
    """A copy of an adapter's tensors by their names in PEFT's file, on the device that they are on."""
    return {name: tensor.detach().clone() for name, tensor in get_peft_model_state_dict(adapted).items()}


def save(
    checkpoint: Path,
    run: RunState,
    adapted: PeftModel,
    optimiser: torch.optim.Optimizer,
    schedule: LambdaLR,
    scaler: torch.amp.GradScaler,
) -> None:
    """Write the state of a run, so that a run that is killed while it writes leaves the state before."""
    random_state = {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    random_states = distributed.gather(random_state)
    if distributed.rank():
        return  # all else is the same in every process
    state = {
        "run": run,
        "adapter": copy_weights(adapted),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "scaler": scaler.state_dict(),
        _RANDOM_STATES: random_states,
    }
    content = io.BytesIO()
    torch.save(state, content)
    with replacing(checkpoint) as partial, partial.open("wb") as file:
        file.write(_head(checkpoint, content.getbuffer()))
        file.write(content.getbuffer())


def resume(
    checkpoint: Path,
    adapted: PeftModel,
    optimiser: torch.optim.Optimizer,
    schedule: LambdaLR,
    scaler: torch.amp.GradScaler,
) -> RunState | None:
    """Put the saved state into adapter, optimiser and schedule, set the random state, and return the run's;
    ``None`` where none was saved, or it is damaged, which is told in a line.

    Where the number of processes is another than before, the random state is not set: dropout then draws
    other numbers, and only the bytes of the result differ.

    Raises:
        OSError: the file is there and cannot be read.
    """
    if not checkpoint.is_file():
        return None
    try:
        state = _read(checkpoint)
    except ValueError as fault:
        if not distributed.rank():
            say(
                f"the state of a stopped training in {checkpoint} {fault}: the training begins anew",
                error=True,
            )
        return None
    set_peft_model_state_dict(adapted, state["adapter"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    if scaler.is_enabled() and state.get("scaler"):
        scaler.load_state_dict(state["scaler"])
    if len(state[_RANDOM_STATES]) == distributed.world_size():
        random_state = state[_RANDOM_STATES][distributed.rank()]
        torch.set_rng_state(random_state["cpu"])
        if random_state["cuda"]:
            torch.cuda.set_rng_state_all(random_state["cuda"])
    return {"skipped": 0} | state["run"]  # an older checkpoint does not count them


def _read(checkpoint: Path) -> dict[str, Any]:
    """The saved state.

    Raises:
        ValueError: it is not as it was saved; the text says why, to follow the file's name.
    """
    head, _, content = checkpoint.read_bytes().partition(b"\n")
    if head + b"\n" != _head(checkpoint, content):
        raise ValueError("is not as it was saved")
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # another version of PyTorch may have written it
        raise ValueError(f"cannot be read ({first_line(error)})") from None


def _head(checkpoint: Path, content: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(checkpoint.name.encode() + b"\n")
    digest.update(content)
    return digest.hexdigest().encode() + b"\n"
