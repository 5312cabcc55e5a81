"""What a study takes, before it is run: memory, time and disk, computed from counts that are shown.

Nothing is loaded and nothing is trained. Parameters are counted from a model's shape, and tokens from the
rows where they can be read without a download; both are converted to bytes and operations, and the hardware
has a rate for each. What cannot be counted, such as the share of the hardware's peak rate that training
reaches, is a named constant of this folder and a line of the result.

GB are 10^9 bytes, TFLOP 10^12 operations; a multiplication and an addition are two operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetune_utils.estimate.counts import count_prompts, count_rows, read_asked, read_pools
from safetune_utils.estimate.hardware import Hardware, hardware_of, known_name
from safetune_utils.estimate.memory import (
    BYTES_PER_PARAMETER,
    activation_bytes,
    cache_bytes,
    memory_report,
    number_bytes,
)
from safetune_utils.estimate.report import assumed, verdict
from safetune_utils.estimate.result import AdapterTime, Estimate, Numbers, PromptCounts, TimeReport
from safetune_utils.estimate.time import (
    LOADING_BYTES_PER_SECOND,
    generation_seconds,
    operations,
    step_seconds,
    training_time,
)
from safetune_utils.models.architecture import architecture_of, parameters
from safetune_utils.models.folders import check_base_folder
from safetune_utils.settings import Settings

_BYTES_PER_TEXT_TOKEN = 4
_BYTES_PER_RESPONSE = 300  # the prompt and the names of the fields


def estimate(
    *, settings: Settings, hardware: str | Hardware = "auto", prompt_sets: Sequence[str] | None = None
) -> Estimate | None:
    """Predict what a study takes on a kind of hardware, where every amount and seed is trained and answers
    every prompt set.

    Args:
        settings: of the study, from :func:`safetune_utils.presets.resolve`.
        hardware: a name of :data:`~safetune_utils.estimate.hardware.HARDWARE`, ``this-machine``, ``auto``
            (see :func:`~safetune_utils.estimate.hardware.hardware_of`), or a
            :class:`~safetune_utils.estimate.hardware.Hardware`.
        prompt_sets: by default all that the data source has.

    Returns:
        Plain data in bytes, seconds, operations and tokens, see
        :class:`~safetune_utils.estimate.result.Estimate`; ``None`` where the base model has parts that are
        not counted here, so that nothing is known of it beforehand.

    Raises:
        SafetuneError: unknown hardware, a model that cannot be reached, or data that does not have what is
            asked for.
    """
    # What is wrong is told first, before anything that takes seconds.
    if isinstance(hardware, str):
        known_name(hardware)
    check_base_folder(settings.base_model)
    read_pools(settings)
    read_asked(settings, prompt_sets)
    device = hardware if isinstance(hardware, Hardware) else hardware_of(hardware)
    shape = architecture_of(settings.base_model, revision=settings.revision)
    if shape is None:
        return None
    targets = settings.recipe.target_modules or shape.default_targets
    recipe = settings.recipe.model_copy(update={"target_modules": targets})
    s, how = settings.model_copy(update={"recipe": recipe}), settings.decoding
    counts = parameters(shape, rank=recipe.lora_rank, target_modules=targets)
    rows, prompts = count_rows(s), count_prompts(s, prompt_sets)
    memory = memory_report(shape, s, device, rows, prompts)
    adapters: list[AdapterTime] = [
        {**entry, **training_time(shape, s, device, rows, entry)} for entry in rows["adapters"]
    ]
    answering = generation_seconds(shape, s, device, prompts)
    loading = 2 * counts["total"] * shape.stored_bytes / LOADING_BYTES_PER_SECOND  # to train and to answer
    untuned: PromptCounts = {**prompts, "sets": {"controls": prompts["controls"]}}
    controls = generation_seconds(shape, s, device, untuned) + loading / 2
    training = sum(entry["training"] + entry["validating"] for entry in adapters)
    time: TimeReport = {
        "adapters": adapters,
        "answering": answering,
        "loading": loading,
        "controls": controls,
        "study": training + len(adapters) * (answering + loading) + controls,
    }
    n_together = min(how.batch_size, max(prompts["sets"].values(), default=1))
    context = prompts["tokens"] + how.max_new_tokens / 2
    response_bytes = _BYTES_PER_RESPONSE + how.max_new_tokens * _BYTES_PER_TEXT_TOKEN
    here = Path(s.base_model).expanduser().is_dir()
    numbers: Numbers = {
        "settings": s.model_dump(),
        "hardware": dict(vars(device)),
        "parameters": counts,
        "shape": {key: value for key, value in vars(shape).items() if key != "matrices"},
        "rows": rows,
        "prompts": prompts,
        "per": {
            "operations": operations(shape, s, device),
            "parameter_bytes": BYTES_PER_PARAMETER.get(s.quantization, number_bytes(s, device)),
            "activation_bytes_of_a_token_in_a_layer": activation_bytes(
                shape, s, device, longest=rows["longest"]
            ),
            "cache_bytes_of_a_token": cache_bytes(shape, s, device),
            "step_seconds": step_seconds(shape, s, device, prompts=n_together, context=context),
        },
        "memory": memory,
        "time": time,
        "disk": {
            "weights": 0 if here else counts["total"] * shape.stored_bytes,
            "adapters": len(adapters) * counts["adapter"] * 4,
            "responses": len(adapters) * sum(prompts["sets"].values()) * response_bytes,
        },
    }
    lines = assumed(s, device, rows, prompts)
    if settings.recipe.target_modules is None:
        lines.append(f"an adapter is put on {', '.join(targets)}, as PEFT does on {shape.model_type}")
    return {**numbers, "assumed": lines, "verdict": verdict(numbers, device)}
