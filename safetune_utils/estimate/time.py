"""Operations and seconds: how long training and generation take on a kind of hardware."""

from __future__ import annotations

from typing import Any

from safetune_utils.estimate.hardware import GB, Hardware
from safetune_utils.estimate.memory import BYTES_PER_PARAMETER, cache_bytes, number_bytes
from safetune_utils.models.architecture import Architecture, parameters
from safetune_utils.settings import Settings

# Share of the matrix rate that training reaches; what it does beside the operations counted below, and what
# packing rows saves, is in it. CPU: of the rate measured here, with as many adapters at once as threads, as
# the pocket preset's five had together; one at a time has two thirds of it. GPU: of the data sheet's rate,
# and not measured by us: chosen, with QUANTIZED_SHARE, so that LLaMA-7B in int8 on 3 x 50,000 Alpaca rows
# takes 4.1 h on an RTX 4090, where alpaca-lora's README says less than five, and 16 h on an RTX 2080 Ti,
# where the README of Sparsebit's alpaca-qlora gives 14.25.
TRAINING_SHARE = {"cpu": {"half": 0.365, "fp32": 0.365}, "gpu": {"half": 0.40, "fp32": 0.70}}
# What unpacking the weights leaves of it.
QUANTIZED_SHARE = {"none": 1.0, "int8": 0.6, "nf4": 0.6}
# Mean share of a batch that is still under way in a decoding step: rows leave it when their answer ends. Of
# 744 answers of the pocket preset the mean was 36 tokens of at most 64.
UNDER_WAY = 0.57
# Share of the matrix rate in a decoding step, where a matrix meets few rows.
DECODING_SHARE = {"cpu": 0.33, "gpu": 0.30}
# From disk into memory, quantising included.
LOADING_BYTES_PER_SECOND = 0.5 * GB
# Seconds that every decoder layer adds to a decoding step whatever its size: Python, kernel launches, small
# kernels. GPU: read off bitsandbytes' published latencies (benchmarking/README, v0.45.0; T4, RTX 4090, H100),
# less the weights' traffic.
STEP_SECONDS_PER_LAYER = {
    "cpu": {"none": 0.0003, "int8": 0.0006, "nf4": 0.0006},
    "gpu": {"none": 0.0005, "int8": 0.0020, "nf4": 0.0008},
}
# Up to so many rows bitsandbytes multiplies by packed nf4 weights; for more it writes them out in 2 bytes and
# reads those.
_PACKED_ROWS = 16


def operations(shape: Architecture, settings: Settings, hardware: Hardware) -> dict[str, dict[str, float]]:
    """Operations of training by the number format they run in, ``half`` or ``fp32``: for each token, and more
    for a learned one.

    Frozen weights are multiplied twice, forward and backward to their inputs; quantised ones a third time,
    because their layers are computed anew for the backward pass. Attention's own products and the adapter's
    are left out: they are small on short rows, and the share of the peak covers them. The keys with
    ``forward`` are what validating takes.
    """
    body, head = 2 * parameters(shape)["body"], 2 * shape.vocabulary * shape.hidden
    quantized, int8 = settings.quantization != "none", settings.quantization == "int8"
    passes = 3 if quantized else 2
    # bitsandbytes' int8 backward runs in the format that flows through the model, which is fp32; on a CPU its
    # forward too.
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
    """Whether the base model computes in fp32: as asked for, or because the hardware cannot multiply what
    was.
    """
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
    shape: Architecture, settings: Settings, hardware: Hardware, rows: dict[str, Any], adapter: dict[str, int]
) -> dict[str, float]:
    """Seconds of ``training`` and ``validating`` one adapter, with the ``tokens`` and ``operations`` of the
    training.

    All of them are in proportion to rows; training is to epochs, and validating to evaluations.
    """
    recipe, of = settings.recipe, operations(shape, settings, hardware)
    n = {"general": settings.n_general, "safety": adapter["n_safety"], "contrast": settings.mixing.n_contrast}
    tokens, learned = (
        sum(rows[what][kind] * n[kind] for kind in rows[what]) / sum(n.values())
        for what in ("tokens", "learned")
    )
    seen, validated = adapter["rows"] * recipe.epochs, adapter["validation_rows"] * recipe.evaluations
    training = {key: seen * (tokens * of["token"][key] + learned * of["learned"][key]) for key in of["token"]}
    validating = {
        key: validated * (tokens * of["token forward"][key] + learned * of["learned forward"][key])
        for key in training
    }
    return {
        "tokens": seen * tokens, "operations": sum(training.values()),
        "training": _seconds(training, settings, hardware), "validating": _seconds(validating, settings, hardware),
    }  # fmt: skip


def step_seconds(
    shape: Architecture, settings: Settings, hardware: Hardware, *, prompts: int, context: float
) -> dict[str, float]:
    """Seconds of a decoding step of a batch of so many prompts, by what takes them, and ``all``.

    The weights are read once for the whole batch, which takes longer than the arithmetic where it has few
    rows, and the larger of the two counts. Keys and values are read once, and written and read once more
    where heads share them; beams swap those of the answer so far.
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
    seconds = {
        "weights": (body * per_weight + head * size) / (hardware.bandwidth * GB),
        "arithmetic": sequences
        * UNDER_WAY
        * 2
        * (body + head)
        / (rate * 1e12 * DECODING_SHARE[hardware.kind]),
        "cache": sequences
        * UNDER_WAY
        * moved
        * cache_bytes(shape, settings, hardware)
        / (hardware.bandwidth * GB),
        "overhead": shape.layers * STEP_SECONDS_PER_LAYER[hardware.kind][settings.quantization],
    }
    return seconds | {
        "all": max(seconds["weights"], seconds["arithmetic"]) + seconds["cache"] + seconds["overhead"]
    }


def generation_seconds(
    shape: Architecture, settings: Settings, hardware: Hardware, prompts: dict[str, Any]
) -> float:
    """Seconds for one adapter's answers. Every batch is taken to run to ``max_new_tokens``, as its longest
    answer mostly does.
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
