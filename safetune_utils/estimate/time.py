"""Operations and seconds: how long training and generation take on a kind of hardware."""

from __future__ import annotations

from safetune_utils.estimate.hardware import GB, Hardware
from safetune_utils.estimate.memory import BYTES_PER_PARAMETER, cache_bytes, number_bytes
from safetune_utils.estimate.result import (
    AdapterCounts,
    PromptCounts,
    StepSeconds,
    TrainingCounts,
    TrainingTime,
)
from safetune_utils.models.architecture import Architecture, parameters
from safetune_utils.settings import Settings

# Share of the matrix rate that training reaches. It includes what training does besides the operations
# counted below, and what packing rows saves. CPU: of the measured rate, with as many adapters at the same
# time as threads, as the pocket preset's five had together; a single adapter reaches two thirds of it. GPU:
# of the data sheet's rate, and not measured by us: chosen, with QUANTIZED_SHARE, so that LLaMA-7B in int8 on
# 3 x 50,000 Alpaca rows takes 4.1 h on an RTX 4090, where alpaca-lora's README says less than five, and 16 h
# on an RTX 2080 Ti, where the README of Sparsebit's alpaca-qlora gives 14.25.
TRAINING_SHARE = {"cpu": {"half": 0.365, "fp32": 0.365}, "gpu": {"half": 0.40, "fp32": 0.70}}
# Share of that rate that is left where quantised weights have to be unpacked.
QUANTIZED_SHARE = {"none": 1.0, "int8": 0.6, "nf4": 0.6}
# Mean share of a batch that is still being answered in a decoding step: rows leave it when their answer ends.
# Of 744 answers of the pocket preset the mean was 36 tokens of at most 64.
UNDER_WAY = 0.57
# Share of the matrix rate that a decoding step reaches, where a matrix is multiplied by few rows.
DECODING_SHARE = {"cpu": 0.33, "gpu": 0.30}
# From disk into memory, including quantisation.
LOADING_BYTES_PER_SECOND = 0.5 * GB
# Seconds that every decoder layer adds to a decoding step, whatever its size: Python, kernel launches, small
# kernels. GPU: from bitsandbytes' published latencies (benchmarking/README, v0.45.0; T4, RTX 4090, H100),
# minus the time of reading the weights.
STEP_SECONDS_PER_LAYER = {
    "cpu": {"none": 0.0003, "int8": 0.0006, "nf4": 0.0006},
    "gpu": {"none": 0.0005, "int8": 0.0020, "nf4": 0.0008},
}
# Up to this many rows bitsandbytes multiplies by packed nf4 weights; for more it unpacks them to 2 bytes each
# and reads those.
_PACKED_ROWS = 16


def operations(shape: Architecture, settings: Settings, hardware: Hardware) -> dict[str, dict[str, float]]:
    """Operations of training, by the number format in which they run.

    Frozen weights are multiplied twice, forward and backward to their inputs; quantised ones a third time,
    because their layers are recomputed for the backward pass. Attention's own products and the adapter's are
    left out: they are small for short rows, and the share of the peak rate covers them.

    Returns:
        For ``token``, each token, and ``learned``, what a learned token adds, and for each of these with
        ``forward``, which is what validating takes: operations in ``half`` and in ``fp32``.
    """
    body, head = 2 * parameters(shape)["body"], 2 * shape.vocabulary * shape.hidden
    quantized, int8 = settings.quantization != "none", settings.quantization == "int8"
    passes = 3 if quantized else 2
    # bitsandbytes' int8 backward pass runs in the format of the activations, which is fp32; on a CPU its
    # forward pass does too.
    all_fp32 = _all_fp32(settings, hardware) or (int8 and hardware.kind == "cpu")
    backward_fp32 = body if int8 and not all_fp32 else 0

    def split(n: float, fp32: bool) -> dict[str, float]:
        return {"half": 0.0 if fp32 else n, "fp32": n if fp32 else 0.0}

    token = split(passes * body - backward_fp32, all_fp32)
    return {
        "token": token | {"fp32": token["fp32"] + backward_fp32},
        "learned": split(2 * head, all_fp32 or quantized),
        "token forward": split(body, all_fp32),
        "learned forward": split(head, all_fp32 or quantized),
    }


def _all_fp32(settings: Settings, hardware: Hardware) -> bool:
    """Whether the base model computes in fp32: as the settings say, or because the hardware has no bf16."""
    return (
        settings.precision == "fp32"
        or (settings.precision == "bf16" and not hardware.bf16)
        or number_bytes(settings, hardware) == 4
    )


def _seconds(work: dict[str, float], settings: Settings, hardware: Hardware) -> float:
    share = TRAINING_SHARE[hardware.kind]
    return work["half"] / (
        hardware.half * 1e12 * share["half"] * QUANTIZED_SHARE[settings.quantization]
    ) + work["fp32"] / (hardware.fp32 * 1e12 * share["fp32"])


def training_time(
    shape: Architecture, settings: Settings, hardware: Hardware, rows: TrainingCounts, adapter: AdapterCounts
) -> TrainingTime:
    """Seconds of training and validating one adapter, with the tokens and operations of the training.

    All of them are proportional to rows; training also to epochs, and validating to evaluations.
    """
    recipe, of = settings.recipe, operations(shape, settings, hardware)
    n = {"general": settings.n_general, "safety": adapter["n_safety"], "contrast": settings.mixing.n_contrast}
    tokens, learned = (
        sum(mean[kind] * n[kind] for kind in mean) / sum(n.values())
        for mean in (rows["tokens"], rows["learned"])
    )
    seen, validated = adapter["rows"] * recipe.epochs, adapter["validation_rows"] * recipe.evaluations
    training = {key: seen * (tokens * of["token"][key] + learned * of["learned"][key]) for key in of["token"]}
    validating = {
        key: validated * (tokens * of["token forward"][key] + learned * of["learned forward"][key])
        for key in training
    }
    return {
        "tokens": seen * tokens,
        "operations": sum(training.values()),
        "training": _seconds(training, settings, hardware),
        "validating": _seconds(validating, settings, hardware),
    }


def step_seconds(
    shape: Architecture, settings: Settings, hardware: Hardware, *, prompts: int, context: float
) -> StepSeconds:
    """Seconds of a decoding step of a batch, by what takes them.

    The weights are read once for the whole batch, which takes longer than the arithmetic where the batch has
    few rows; the larger of the two counts. Keys and values are read once, and written and read once more
    where heads share them; beams reorder those of the answer so far.

    Args:
        prompts: of the batch.
        context: mean number of tokens in the cache of a sequence.
    """
    how, size = settings.decoding, number_bytes(settings, hardware)
    sequences = prompts * how.num_beams
    body, head = parameters(shape)["body"], shape.vocabulary * shape.hidden
    per_weight = BYTES_PER_PARAMETER.get(settings.quantization, size)
    if settings.quantization == "nf4" and sequences > _PACKED_ROWS:
        per_weight += 2 * 2
    rate = hardware.fp32 if _all_fp32(settings, hardware) else hardware.half
    moved = context * (1 if shape.heads == shape.kv_heads else 3) + (
        how.max_new_tokens if how.num_beams > 1 else 0
    )
    bandwidth = hardware.bandwidth * GB
    weights = (body * per_weight + head * size) / bandwidth
    arithmetic = sequences * UNDER_WAY * 2 * (body + head) / (rate * 1e12 * DECODING_SHARE[hardware.kind])
    cache = sequences * UNDER_WAY * moved * cache_bytes(shape, settings, hardware) / bandwidth
    overhead = shape.layers * STEP_SECONDS_PER_LAYER[hardware.kind][settings.quantization]
    return {
        "weights": weights,
        "arithmetic": arithmetic,
        "cache": cache,
        "overhead": overhead,
        "all": max(weights, arithmetic) + cache + overhead,
    }


def generation_seconds(
    shape: Architecture, settings: Settings, hardware: Hardware, prompts: PromptCounts
) -> float:
    """Seconds for one adapter's answers.

    Every batch is assumed to run to ``max_new_tokens``, because its longest answer mostly does.
    """
    how, context = settings.decoding, prompts["tokens"] + settings.decoding.max_new_tokens / 2
    reading = _seconds(operations(shape, settings, hardware)["token forward"], settings, hardware) * (
        prompts["tokens"] - prompts["shared"]
    )
    total = 0.0
    for n in prompts["sets"].values():
        for size, many in ((how.batch_size, n // how.batch_size), (n % how.batch_size, 1)):
            if size and many:
                step = step_seconds(shape, settings, hardware, prompts=size, context=context)
                total += many * (size * reading + how.max_new_tokens * step["all"])
    return total
