"""The state of a training run on disk, so that a run that was stopped goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

from safetune_utils.machine import distributed


def copy_weights(adapted: PeftModel) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in get_peft_model_state_dict(adapted).items()}


def save(
    checkpoint: Path, run: dict[str, Any], adapted: PeftModel, optimiser: torch.optim.Optimizer, schedule: Any
) -> None:
    """Write the state beside its place and rename it, so that a kill leaves the one before."""
    chance = distributed.gather(
        {
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
    )
    if distributed.rank():
        return  # all else is the same in every process
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    partial = checkpoint.with_name(f"{checkpoint.name}.partial")
    state = {
        "run": run,
        "adapter": copy_weights(adapted),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "chance": chance,
    }
    torch.save(state, partial)
    partial.replace(checkpoint)


def resume(
    checkpoint: Path, adapted: PeftModel, optimiser: torch.optim.Optimizer, schedule: Any
) -> dict[str, Any]:
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    set_peft_model_state_dict(adapted, state["adapter"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    if (
        len(state["chance"]) == distributed.world_size()
    ):  # else dropout goes on anew, and only the bytes differ
        chance = state["chance"][distributed.rank()]
        torch.set_rng_state(chance["cpu"])
        if chance["cuda"]:
            torch.cuda.set_rng_state_all(chance["cuda"])
    return state["run"]
