"""Memory of training and of generation, by part, and which setting lowers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from safetune_utils.estimate.hardware import GB, HARDWARE, Hardware
from safetune_utils.models.architecture import Architecture, is_target, parameters
from safetune_utils.settings import Settings

# By how much working memory exceeds what is in use, because allocators keep freed blocks. CPU: as the pocket
# preset had it.
ALLOCATOR = {"cpu": {"training": 2.1, "answering": 1.5}, "gpu": {"training": 1.1, "answering": 1.1}}
# Python, PyTorch and its libraries; on a GPU the CUDA context.
RUNTIME_BYTES = {"cpu": 0.5 * GB, "gpu": 0.6 * GB}
# The rest of a machine's memory is the driver's, the system's and other programs'.
USABLE = 0.95

# Bytes per parameter of a matrix. int8 keeps one fp32 scale a row, which is nothing; nf4 one for each 64
# values.
BYTES_PER_PARAMETER = {"int8": 1.0, "nf4": 0.5 + 4 / 64}
# An adapter's parameter in training: weight, gradient, AdamW's two moments and the copy of the best, all
# fp32.
_BYTES_PER_ADAPTER_PARAMETER = 20
# A learned token's logits: log-probabilities, their gradient and the logits' gradient, all fp32.
_BYTES_PER_LOGIT = 12


def number_bytes(settings: Settings, hardware: Hardware) -> int:
    """Bytes of a number in the format the base model computes in."""
    if settings.precision == "auto":
        return 2 if hardware.kind == "gpu" or hardware.bf16 else 4
    return 4 if settings.precision == "fp32" else 2


def weight_bytes(shape: Architecture, settings: Settings, hardware: Hardware, *, training: bool) -> float:
    """Bytes of the frozen base model. PEFT turns what is not quantised into fp32 before a quantised model is
    trained.
    """
    counts, size = parameters(shape), number_bytes(settings, hardware)
    if settings.quantization == "none":
        return counts["total"] * size
    return counts["body"] * BYTES_PER_PARAMETER[settings.quantization] + (
        counts["total"] - counts["body"]
    ) * (4 if training else size)


def activation_bytes(shape: Architecture, settings: Settings, hardware: Hardware, *, longest: int) -> int:
    """Bytes a token of a micro-batch keeps in one layer until the backward pass.

    Counted for a frozen base, which keeps less than a trained one: what norms, attention, the MLP's products
    and the adapters' inputs need. On a CPU attention also keeps its scores, one for each token of the row.
    """
    # A quantised model is trained between fp32 norms, so fp32 flows through it.
    size = 4 if settings.quantization != "none" else number_bytes(settings, hardware)
    attention = size * shape.heads * (4 * shape.head_size + (longest if hardware.kind == "cpu" else 0))
    inputs = (
        sum(n for name, n, _ in shape.matrices if is_target(name, settings.recipe.target_modules))
        / shape.layers
    )
    adapter = inputs * (5 if settings.recipe.lora_dropout else 4)  # fp32, and dropout's mask
    return round(
        2 * 4 * shape.hidden + attention + size * (3 if shape.gated else 1) * shape.intermediate + adapter
    )


def training_memory(
    shape: Architecture, settings: Settings, hardware: Hardware, rows: dict[str, Any]
) -> dict[str, float]:
    """Bytes at the peak of training, by what they hold.

    A quantised model is trained with gradient checkpointing: layers keep only their input, and one at a time
    is computed anew.
    """
    recipe = settings.recipe
    quantized = settings.quantization != "none"
    size = 4 if quantized else number_bytes(settings, hardware)
    # A row is never cut, and no micro-batch is larger than a batch.
    tokens = max(rows["longest"], min(recipe.micro_batch_tokens, recipe.batch_size * rows["longest"]))
    layer = activation_bytes(shape, settings, hardware, longest=rows["longest"])
    kept = shape.layers * size * shape.hidden + layer if quantized else shape.layers * layer
    in_flight = size * (2 * shape.intermediate + 4 * shape.hidden)  # the gradients of the layer at work
    learned = max(rows["learned"][kind] / rows["tokens"][kind] for kind in rows["tokens"])
    counts = parameters(shape, rank=recipe.lora_rank, target_modules=recipe.target_modules)
    return {
        "weights": weight_bytes(shape, settings, hardware, training=True),
        "adapter and optimiser": counts["adapter"] * _BYTES_PER_ADAPTER_PARAMETER,
        "activations": tokens * (kept + in_flight) * ALLOCATOR[hardware.kind]["training"],
        "logits": tokens
        * learned
        * shape.vocabulary
        * _BYTES_PER_LOGIT
        * ALLOCATOR[hardware.kind]["training"],
        "a matrix unpacked": max(n * m for _, n, m in shape.matrices)
        * (4 if settings.quantization == "int8" else 2)
        if quantized
        else 0.0,
        "runtime": RUNTIME_BYTES[hardware.kind],
    }


def cache_bytes(shape: Architecture, settings: Settings, hardware: Hardware) -> int:
    """Bytes of keys and values that one token of one sequence leaves in the cache."""
    return 2 * shape.layers * shape.kv_heads * shape.head_size * number_bytes(settings, hardware)


def generation_memory(
    shape: Architecture, settings: Settings, hardware: Hardware, prompts: dict[str, Any]
) -> dict[str, float]:
    """Bytes at the peak of decoding, by what they hold; the prompt is read once for all beams."""
    how, size, slack = (
        settings.decoding,
        number_bytes(settings, hardware),
        ALLOCATOR[hardware.kind]["answering"],
    )
    asked = min(how.batch_size, max(prompts["sets"].values(), default=0))
    counts = parameters(shape, rank=settings.recipe.lora_rank, target_modules=settings.recipe.target_modules)
    quantized = settings.quantization != "none"
    read = asked * (prompts["longest"] - prompts["shared"])
    return {
        "weights": weight_bytes(shape, settings, hardware, training=False),
        # On a CPU bf16 weights are held a second time, in the order that its matrix unit reads.
        "weights in order": (counts["body"] + shape.vocabulary * shape.hidden) * 2.0
        if hardware.kind == "cpu" and size == 2 and not quantized
        else 0.0,
        "adapter": counts["adapter"] * 4.0 if quantized else 0.0,  # else it is merged
        "cache": asked
        * how.num_beams
        * (prompts["longest"] + how.max_new_tokens)
        * cache_bytes(shape, settings, hardware)
        * slack,
        "activations": read * size * (4 * shape.hidden + 3 * shape.intermediate) * slack,
        # With beams their log-probabilities and the sums of these, in fp32.
        "logits": asked * how.num_beams * shape.vocabulary * (12 if how.num_beams > 1 else 2 * size) * slack,
        "runtime": RUNTIME_BYTES[hardware.kind],
    }


def memory_report(
    shape: Architecture, settings: Settings, hardware: Hardware, rows: dict[str, Any], prompts: dict[str, Any]
) -> dict[str, Any]:
    parts = {
        "training": training_memory(shape, settings, hardware, rows),
        "answering": generation_memory(shape, settings, hardware, prompts),
    }
    totals = {name: sum(part.values()) for name, part in parts.items()}
    peak = max(totals, key=totals.__getitem__)
    usable = hardware.memory * GB * USABLE
    fits = totals[peak] <= usable
    return parts | {
        "totals": totals, "peak": peak, "peak_bytes": totals[peak], "usable_bytes": usable, "fits": fits,
        "mend": None if fits else _mend(shape, settings, hardware, rows, prompts, usable),
    }  # fmt: skip


def _mend(
    shape: Architecture,
    settings: Settings,
    hardware: Hardware,
    rows: dict[str, Any],
    prompts: dict[str, Any],
    usable: float,
) -> str:
    """The mildest change that fits: smaller parts at a time, then fewer bits, then other hardware."""
    stronger = ["none", "int8", "nf4"]
    for quantization in stronger[stronger.index(settings.quantization) :]:
        changed = settings.model_copy(update={"quantization": quantization})
        flags = [f"-p quantization {quantization}"] if quantization != settings.quantization else []
        micro = _halved(settings.recipe.micro_batch_tokens, rows["longest"])
        tokens = _first(
            micro,
            lambda n, s=changed: (
                _total(training_memory(shape, _with(s, "recipe", micro_batch_tokens=n), hardware, rows))
                <= usable
            ),
        )
        sizes = _halved(settings.decoding.batch_size, 1)
        size = _first(
            sizes,
            lambda n, s=changed: (
                _total(generation_memory(shape, _with(s, "decoding", batch_size=n), hardware, prompts))
                <= usable
            ),
        )
        if tokens and size:
            flags += (
                [f"-p recipe '{{\"micro_batch_tokens\": {tokens}}}'"]
                if tokens != settings.recipe.micro_batch_tokens
                else []
            )
            flags += (
                [f"-p decoding '{{\"batch_size\": {size}}}'"] if size != settings.decoding.batch_size else []
            )
            return " ".join(flags)
    needed = max(
        _total(training_memory(shape, settings, hardware, rows)),
        _total(generation_memory(shape, settings, hardware, prompts)),
    )
    large = next(
        (
            other.name
            for other in sorted(HARDWARE.values(), key=lambda c: c.memory)
            if other.memory * GB * USABLE >= needed
        ),
        None,
    )
    return f"--hardware {large}" if large else "a smaller --base, or a smaller max_length in -p recipe"


def _halved(start: int, least: int) -> list[int]:
    """A value and its halves, down to what still helps."""
    values = [start]
    while values[-1] // 2 >= least:
        values.append(values[-1] // 2)
    return values


def _first(values: list[int], fits: Callable[[int], bool]) -> int | None:
    return next((value for value in values if fits(value)), None)


def _with(settings: Settings, part: str, **entries: int) -> Settings:
    return settings.model_copy(update={part: getattr(settings, part).model_copy(update=entries)})


def _total(parts: dict[str, float]) -> float:
    return sum(parts.values())
