"""Memory of training and of generation, by what it holds, and the settings that lower it."""

from __future__ import annotations

from safetune_utils.estimate.hardware import GB, HARDWARE, Hardware
from safetune_utils.estimate.result import MemoryReport, PromptCounts, TrainingCounts
from safetune_utils.models.architecture import Architecture, is_target, parameters
from safetune_utils.settings import Settings

# How many times as much working memory is held as is in use, because allocators keep freed blocks. CPU: as
# measured with the pocket preset.
ALLOCATOR = {"cpu": {"training": 2.1, "answering": 1.5}, "gpu": {"training": 1.1, "answering": 1.1}}
# Bytes of Python, PyTorch and its libraries; on a GPU of the CUDA context.
RUNTIME_BYTES = {"cpu": 0.5 * GB, "gpu": 0.6 * GB}
# Share of a machine's memory that can be used; the driver, the system and other programs have the rest.
USABLE = 0.95

# Bytes of a parameter of a matrix. int8 has one fp32 scale for each row, which is too little to count; nf4
# has one for each 64 values.
BYTES_PER_PARAMETER = {"int8": 1.0, "nf4": 0.5 + 4 / 64}
# Bytes of an adapter's parameter in training: weight, gradient, AdamW's two moments and the copy of the best
# weights, all fp32.
_BYTES_PER_ADAPTER_PARAMETER = 20
# Bytes of a learned token's logit: log-probability, its gradient and the logit's gradient, all fp32.
_BYTES_PER_LOGIT = 12


def number_bytes(settings: Settings, hardware: Hardware) -> int:
    """Bytes of a number in the format in which the base model computes: 2 or 4."""
    if settings.precision == "auto":
        return 2 if hardware.kind == "gpu" or hardware.bf16 else 4
    return 4 if settings.precision == "fp32" else 2


def weight_bytes(shape: Architecture, settings: Settings, hardware: Hardware, *, training: bool) -> float:
    """Bytes of the frozen base model.

    Before a quantised model is trained, PEFT converts to fp32 what is not quantised.
    """
    counts, size = parameters(shape), number_bytes(settings, hardware)
    if settings.quantization == "none":
        return counts["total"] * size
    others = counts["total"] - counts["body"]
    return counts["body"] * BYTES_PER_PARAMETER[settings.quantization] + others * (4 if training else size)


def activation_bytes(shape: Architecture, settings: Settings, hardware: Hardware, *, longest: int) -> int:
    """Bytes that a token of a micro-batch keeps in one layer until the backward pass.

    Counted for a frozen base model, which keeps less than a trained one: what norms, attention, the MLP's
    products and the adapters' inputs need. On a CPU attention also keeps its scores, one for each token of
    the row.

    Args:
        longest: tokens of the longest row.
    """
    # The norms of a quantised model are fp32 in training, so its activations are too.
    size = 4 if settings.quantization != "none" else number_bytes(settings, hardware)
    attention = size * shape.heads * (4 * shape.head_size + (longest if hardware.kind == "cpu" else 0))
    inputs = (
        sum(n for name, n, _ in shape.matrices if is_target(name, settings.recipe.target_modules or ()))
        / shape.layers
    )
    adapter = inputs * (5 if settings.recipe.lora_dropout else 4)  # fp32, and dropout's mask
    return round(
        2 * 4 * shape.hidden + attention + size * (3 if shape.gated else 1) * shape.intermediate + adapter
    )


def training_memory(
    shape: Architecture, settings: Settings, hardware: Hardware, rows: TrainingCounts
) -> dict[str, float]:
    """Bytes at the peak of training, by what they hold.

    A quantised model is trained with gradient checkpointing: layers keep only their input, and one layer at a
    time is recomputed.
    """
    recipe = settings.recipe
    quantized = settings.quantization != "none"
    size = 4 if quantized else number_bytes(settings, hardware)
    # A row is never cut, and no micro-batch is larger than a batch.
    tokens = max(rows["longest"], min(recipe.micro_batch_tokens, recipe.batch_size * rows["longest"]))
    layer = activation_bytes(shape, settings, hardware, longest=rows["longest"])
    kept = shape.layers * size * shape.hidden + layer if quantized else shape.layers * layer
    gradients = size * (2 * shape.intermediate + 4 * shape.hidden)  # of the current layer
    learned = max(rows["learned"][kind] / rows["tokens"][kind] for kind in rows["tokens"])
    counts = parameters(shape, rank=recipe.lora_rank, target_modules=recipe.target_modules or ())
    slack = ALLOCATOR[hardware.kind]["training"]
    largest = max(n * m for _, n, m in shape.matrices)
    return {
        "weights": weight_bytes(shape, settings, hardware, training=True),
        "adapter and optimiser": counts["adapter"] * _BYTES_PER_ADAPTER_PARAMETER,
        "activations": tokens * (kept + gradients) * slack,
        "logits": tokens * learned * shape.vocabulary * _BYTES_PER_LOGIT * slack,
        "a matrix unpacked": largest * (4 if settings.quantization == "int8" else 2) if quantized else 0.0,
        "runtime": RUNTIME_BYTES[hardware.kind],
    }


def cache_bytes(shape: Architecture, settings: Settings, hardware: Hardware) -> int:
    """Bytes of keys and values that one token of one sequence has in the cache."""
    return 2 * shape.layers * shape.kv_heads * shape.head_size * number_bytes(settings, hardware)


def generation_memory(
    shape: Architecture, settings: Settings, hardware: Hardware, prompts: PromptCounts
) -> dict[str, float]:
    """Bytes at the peak of decoding, by what they hold; the prompt is read once for all beams."""
    how, size = settings.decoding, number_bytes(settings, hardware)
    slack = ALLOCATOR[hardware.kind]["answering"]
    asked = min(how.batch_size, max(prompts["sets"].values(), default=0))
    counts = parameters(
        shape, rank=settings.recipe.lora_rank, target_modules=settings.recipe.target_modules or ()
    )
    quantized = settings.quantization != "none"
    read = asked * (prompts["longest"] - prompts["shared"])
    # On a CPU bf16 weights are held a second time, in the order that its matrix unit reads.
    reordered = hardware.kind == "cpu" and size == 2 and not quantized
    length = prompts["longest"] + how.max_new_tokens
    # With beams also their log-probabilities and the sums of these, in fp32.
    logit_bytes = 12 if how.num_beams > 1 else 2 * size
    return {
        "weights": weight_bytes(shape, settings, hardware, training=False),
        "weights in order": (counts["body"] + shape.vocabulary * shape.hidden) * 2.0 if reordered else 0.0,
        "adapter": counts["adapter"] * 4.0 if quantized else 0.0,  # else it is merged
        "cache": asked * how.num_beams * length * cache_bytes(shape, settings, hardware) * slack,
        "activations": read * size * (4 * shape.hidden + 3 * shape.intermediate) * slack,
        "logits": asked * how.num_beams * shape.vocabulary * logit_bytes * slack,
        "runtime": RUNTIME_BYTES[hardware.kind],
    }


def memory_report(
    shape: Architecture, settings: Settings, hardware: Hardware, rows: TrainingCounts, prompts: PromptCounts
) -> MemoryReport:
    """Memory of training and of answering, whether it fits the hardware, and what to change if not."""
    parts = {
        "training": training_memory(shape, settings, hardware, rows),
        "answering": generation_memory(shape, settings, hardware, prompts),
    }
    totals = {name: sum(part.values()) for name, part in parts.items()}
    peak = max(totals, key=totals.__getitem__)
    usable = hardware.memory * GB * USABLE
    fits = totals[peak] <= usable
    return {
        "training": parts["training"],
        "answering": parts["answering"],
        "totals": totals,
        "peak": peak,
        "peak_bytes": totals[peak],
        "usable_bytes": usable,
        "fits": fits,
        "mend": None if fits else _change(shape, settings, hardware, rows, prompts, usable),
    }


def _change(
    shape: Architecture,
    settings: Settings,
    hardware: Hardware,
    rows: TrainingCounts,
    prompts: PromptCounts,
    usable: float,
) -> str:
    """The smallest change that fits, as options: smaller batches, then fewer bits, then other hardware."""

    def training(changed: Settings) -> float:
        return sum(training_memory(shape, changed, hardware, rows).values())

    def answering(changed: Settings) -> float:
        return sum(generation_memory(shape, changed, hardware, prompts).values())

    stronger = ["none", "int8", "nf4"]
    for quantization in stronger[stronger.index(settings.quantization) :]:
        changed = settings.model_copy(update={"quantization": quantization})
        flags = [f"-p quantization {quantization}"] if quantization != settings.quantization else []
        micro = _halved(settings.recipe.micro_batch_tokens, rows["longest"])
        sizes = _halved(settings.decoding.batch_size, 1)
        fitting_micro = (
            n for n in micro if training(_with(changed, "recipe", micro_batch_tokens=n)) <= usable
        )
        fitting_sizes = (n for n in sizes if answering(_with(changed, "decoding", batch_size=n)) <= usable)
        tokens, size = next(fitting_micro, None), next(fitting_sizes, None)
        if tokens and size:
            if tokens != settings.recipe.micro_batch_tokens:
                flags.append(f"-p recipe '{{\"micro_batch_tokens\": {tokens}}}'")
            if size != settings.decoding.batch_size:
                flags.append(f"-p decoding '{{\"batch_size\": {size}}}'")
            return " ".join(flags)
    needed = max(training(settings), answering(settings))
    by_memory = sorted(HARDWARE.values(), key=lambda other: other.memory)
    large = next((other.name for other in by_memory if other.memory * GB * USABLE >= needed), None)
    return f"--hardware {large}" if large else "a smaller --base, or a smaller max_length in -p recipe"


def _halved(start: int, least: int) -> list[int]:
    """A value and its halves, as long as they are at least ``least``."""
    values = [start]
    while values[-1] // 2 >= least:
        values.append(values[-1] // 2)
    return values


def _with(settings: Settings, part: str, **entries: int) -> Settings:
    return settings.model_copy(update={part: getattr(settings, part).model_copy(update=entries)})
