"""Whether there is room for a study here, by its estimate: memory, and disk for what it writes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from safetune_utils.errors import SafetuneError
from safetune_utils.estimate.counts import GUESSED_PROMPT, count_prompts, count_rows, guess_rows
from safetune_utils.estimate.hardware import GB, Hardware
from safetune_utils.estimate.memory import memory_report
from safetune_utils.estimate.report import size_in_words
from safetune_utils.estimate.result import PromptCounts
from safetune_utils.machine.memory import memory_bytes
from safetune_utils.models.architecture import architecture_of, parameters
from safetune_utils.settings import Settings

# Of an adapter's parameter on the disk: its weight, and in the checkpoint its weight, the best one and
# AdamW's two moments, all fp32.
_DISK_BYTES_PER_PARAMETER = 20
_BYTES_PER_RESPONSE = 1000
# What a store takes besides: records, scores, an executed copy.
_DISK_BYTES = 50e6


def check_room(settings: Settings, *, prompt_sets: Mapping[str, int], store: Path) -> None:
    """Check that a study fits the memory of the device that it is planned for, and the disk.

    Args:
        settings: of a stated study: its device, precision and layers are fixed.
        prompt_sets: how many prompts of each set are asked.
        store: the run store's folder, which is there.

    Raises:
        SafetuneError: it does not fit; the message has the smallest change that does. A base model with
            parts that are not counted here fits.
    """
    shape = architecture_of(settings.base_model, revision=settings.revision)
    if shape is None:
        return
    hardware = _planned(settings)
    # Counting takes seconds, so it is left out where the study fits even with rows as long as can be.
    sets: PromptCounts = {"sets": dict(prompt_sets), "counted": [], "controls": 0, **GUESSED_PROMPT}
    found = memory_report(shape, settings, hardware, guess_rows(settings), sets)
    if not found["fits"]:
        prompts = count_prompts(settings, list(prompt_sets)) if prompt_sets else sets
        found = memory_report(shape, settings, hardware, count_rows(settings), prompts)
    if not found["fits"]:
        mend = found["mend"] or ""
        mend = mend.replace("--hardware", "hardware such as") if "--hardware" in mend else mend
        raise SafetuneError(
            f"{found['peak']} would take about {size_in_words(found['peak_bytes'])} of memory at its peak, "
            f"and {hardware.name} has {size_in_words(found['usable_bytes'])} to use: try {mend}"
        )
    recipe = settings.recipe
    counts = parameters(shape, rank=recipe.lora_rank, target_modules=recipe.target_modules or ())
    n_adapters = len(settings.safety_amounts) * len(settings.seeds)
    needed = _DISK_BYTES + n_adapters * (
        counts["adapter"] * _DISK_BYTES_PER_PARAMETER + sum(prompt_sets.values()) * _BYTES_PER_RESPONSE
    )
    free = shutil.disk_usage(store).free
    if free < needed:
        raise SafetuneError(
            f"this study writes about {size_in_words(needed)} into {store}, where {size_in_words(free)} are "
            "free: make room, or set SAFETUNE_STORE to a larger disk"
        )


def _planned(settings: Settings) -> Hardware:
    """The device of a stated study, with the memory that this machine has for it; its rates play no part."""
    kind, memory, name = "cpu", float(memory_bytes()), "this machine"
    if settings.device == "cuda":
        import torch

        device = torch.cuda.get_device_properties(0)
        kind, memory, name = "gpu", float(device.total_memory), str(device.name)
    return Hardware(
        name=name,
        kind=kind,
        half=0,
        fp32=0,
        memory=memory / GB,
        bandwidth=0,
        bf16=settings.precision == "bf16",
    )
