"""An estimate in words: the table, what was assumed, and the verdict."""

from __future__ import annotations

import math

from safetune_utils.estimate.hardware import GB, HARDWARE, Hardware
from safetune_utils.estimate.memory import ALLOCATOR, RUNTIME_BYTES, USABLE
from safetune_utils.estimate.result import Estimate, Numbers, PromptCounts, TrainingCounts
from safetune_utils.estimate.time import (
    DECODING_SHARE,
    LOADING_BYTES_PER_SECOND,
    QUANTIZED_SHARE,
    STEP_SECONDS_PER_LAYER,
    TRAINING_SHARE,
    UNDER_WAY,
)
from safetune_utils.settings import Settings


def assumed(settings: Settings, hardware: Hardware, rows: TrainingCounts, prompts: PromptCounts) -> list[str]:
    """What an estimate assumes, one line of text for each."""
    lines = [*_assumed_of_hardware(settings, hardware), *_assumed_of_tokens(rows, prompts)]
    if hardware.kind == "gpu" and hardware.name in HARDWARE:
        lines.append(
            "no time on a GPU was measured by this book: expect it to be right within a factor of two"
        )
    if hardware.kind == "gpu" and not hardware.bf16 and settings.precision != "fp16":
        lines.append(f"{hardware.name} does not multiply bf16: give -p precision fp16 to the run, too")
    return lines


def _assumed_of_hardware(settings: Settings, hardware: Hardware) -> list[str]:
    kind, quantization = hardware.kind, settings.quantization
    share, layer_ms = TRAINING_SHARE[kind], STEP_SECONDS_PER_LAYER[kind][quantization] * 1e3
    measured = "measured just now" if hardware.name not in HARDWARE else "from its data sheet"
    half = "bf16" if hardware.bf16 or kind == "cpu" else "fp16"
    unpacking = (
        f", times {QUANTIZED_SHARE[quantization]} for unpacking {quantization} weights"
        if quantization != "none"
        else ""
    )
    lines = [
        f"{hardware.name}: {hardware.half:.3g} TFLOP/s in {half}, {hardware.fp32:.3g} in fp32, "
        f"{hardware.memory:.0f} GB, {hardware.bandwidth:.4g} GB/s, {measured}",
        f"training reaches {share['half']:.0%} of these rates in {half} and {share['fp32']:.0%} in fp32"
        + unpacking,
        f"a decoding step reaches {DECODING_SHARE[kind]:.0%}, and each layer adds {layer_ms:.1f} ms; "
        f"every batch runs to {settings.decoding.max_new_tokens} new tokens, with {UNDER_WAY:.0%} of its "
        "answers under way on average",
        f"working memory is {ALLOCATOR[kind]['training']} times what is in use in training and "
        f"{ALLOCATOR[kind]['answering']} in answering, {RUNTIME_BYTES[kind] / GB:.1f} GB are Python's and "
        f"the driver's, and {USABLE:.0%} of the memory can be used",
    ]
    if kind == "cpu":
        lines.append(
            "adapters are trained side by side, one on each thread; memory is that of one adapter, and where "
            "there is too little for several, fewer are trained at the same time"
        )
    return [*lines, f"weights are loaded at {LOADING_BYTES_PER_SECOND / GB:.1f} GB/s, twice an adapter"]


def _assumed_of_tokens(rows: TrainingCounts, prompts: PromptCounts) -> list[str]:
    lines = []
    for kind, tokens in rows["tokens"].items():
        how_known = (
            f"counted with {rows['tokenizer']}"
            if kind in rows["counted"]
            else "assumed (rows or tokenizer not at hand)"
        )
        lines.append(
            f"{kind} rows: {tokens:.0f} tokens, {rows['learned'][kind]:.0f} of them learned, {how_known}"
        )
    if set(prompts["sets"]) - set(prompts["counted"]):
        lines.append(
            f"prompts: {prompts['tokens']:.0f} tokens each, assumed where texts or tokenizer are not at hand"
        )
    return lines


def verdict(result: Numbers, hardware: Hardware) -> str:
    """Whether a study fits, what it takes, and what to change if it does not fit, in one line."""
    memory, n = result["memory"], len(result["time"]["adapters"])
    needs = (
        f"{memory['peak']} takes {size_in_words(memory['peak_bytes'])} at its peak, and {hardware.name} has "
        f"{size_in_words(memory['usable_bytes'])} to use"
    )
    if not memory["fits"]:
        return f"does not fit: {needs}; try {memory['mend']}"
    return (
        f"fits: {needs}; about {_duration(result['time']['study'])} for {n} adapter{'s' * (n > 1)} and "
        f"{size_in_words(sum(result['disk'].values()))} of disk"
    )


def table(found: Estimate) -> list[dict[str, str]]:
    """An estimate as rows of text, ``what``, ``counts`` and ``value``, for a terminal."""
    lines = _model_lines(found) | _training_lines(found) | _answering_lines(found) | _total_lines(found)
    return [{"what": what, "counts": counted, "value": value} for what, (counted, value) in lines.items()]


# Each gives some lines of the table: what -> (counts, value).


def _model_lines(found: Estimate) -> dict[str, tuple[str, str]]:
    settings, counts, shape, per = found["settings"], found["parameters"], found["shape"], found["per"]
    modules = ", ".join(settings["recipe"]["target_modules"])
    return {
        "base model": (
            f"{counts['body']:,} in {shape['layers']} layers + {counts['embeddings'] + counts['head']:,} in "
            f"embeddings + {counts['others']:,}",
            f"{counts['total']:,} parameters",
        ),
        "of a parameter": (
            f"in a layer, with quantization {settings['quantization']}",
            f"{per['parameter_bytes']:.4g} byte(s)",
        ),
        "an adapter": (
            f"rank {settings['recipe']['lora_rank']} on {modules}",
            f"{counts['adapter']:,} parameters",
        ),
    }


def _training_lines(found: Estimate) -> dict[str, tuple[str, str]]:
    settings, rows, per = found["settings"], found["rows"], found["per"]
    adapters, epochs = found["time"]["adapters"], settings["recipe"]["epochs"]
    tokens = sum(entry["tokens"] for entry in adapters)
    mean = tokens / sum(entry["rows"] * epochs for entry in adapters)
    operations = {key: sum(value.values()) / 1e9 for key, value in per["operations"].items()}
    layers = "one layer at a time" if settings["quantization"] != "none" else "every layer"
    return {
        "training": (
            f"{_range([entry['rows'] for entry in adapters])} rows x {epochs} epochs x {mean:.1f} tokens, "
            f"for each of {len(adapters)}",
            f"{tokens:,.0f} tokens",
        ),
        "arithmetic": (
            f"{operations['token']:.3g} x 10^9 operations a token + {operations['learned']:.3g} a learned "
            "one",
            f"{sum(entry['operations'] for entry in adapters) / 1e12:,.0f} x 10^12",
        ),
        "activations": (
            f"of a token in {layers}; the longest row has {rows['longest']} tokens",
            f"{per['activation_bytes_of_a_token_in_a_layer']:,} bytes",
        ),
    }


def _answering_lines(found: Estimate) -> dict[str, tuple[str, str]]:
    how, sets, shape = found["settings"]["decoding"], found["prompts"]["sets"], found["shape"]
    step = found["per"]["step_seconds"]
    batches = sum(math.ceil(asked / how["batch_size"]) for asked in sets.values())
    return {
        "prompts": (
            f"{sum(sets.values()):,} in {len(sets)} sets x {how['max_new_tokens']} new tokens x "
            f"{how['num_beams']} beam(s), {how['batch_size']} at once",
            f"{batches * how['max_new_tokens']:,} steps",
        ),
        "a step": (
            f"weights {_ms(step['weights'])} or arithmetic {_ms(step['arithmetic'])}, + cache "
            f"{_ms(step['cache'])} + overhead {_ms(step['overhead'])}",
            _ms(step["all"]),
        ),
        "cache": (
            f"of a token: 2 x {shape['layers']} layers x {shape['kv_heads']} heads x {shape['head_size']}",
            f"{found['per']['cache_bytes_of_a_token']:,} bytes",
        ),
    }


def _total_lines(found: Estimate) -> dict[str, tuple[str, str]]:
    settings, memory, seconds = found["settings"], found["memory"], found["time"]
    adapters = seconds["adapters"]
    n = len(adapters)
    training = _duration(sum(entry["training"] for entry in adapters) / n)
    validating = _duration(sum(entry["validating"] for entry in adapters) / n)
    return {
        "memory, training": (_parts(memory["training"]), size_in_words(memory["totals"]["training"])),
        "memory, answering": (_parts(memory["answering"]), size_in_words(memory["totals"]["answering"])),
        "time, an adapter": (
            f"training {training} + validating {validating} + answering {_duration(seconds['answering'])}"
            f" + loading {_duration(seconds['loading'])}",
            _duration((seconds["study"] - seconds["controls"]) / n),
        ),
        "time, the controls": (
            f"{found['prompts']['controls']} answers of the untuned model, in its two forms + loading",
            _duration(seconds["controls"]),
        ),
        "time, the study": (
            f"{len(settings['safety_amounts'])} amounts x {len(settings['seeds'])} seed(s)",
            _duration(seconds["study"]),
        ),
        "disk": (_parts(found["disk"]), size_in_words(sum(found["disk"].values()))),
    }


def _range(values: list[int]) -> str:
    least, most = min(values), max(values)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _parts(parts: dict[str, float]) -> str:
    return " + ".join(f"{name} {size_in_words(size)}" for name, size in parts.items() if size)


def size_in_words(size: float) -> str:
    """Bytes in words: 3.4 GB, 120 MB, 45 kB."""
    for unit, name in ((GB, "GB"), (1e6, "MB")):
        if size >= 0.1 * unit:
            return f"{size / unit:.1f} {name}" if size < 10 * unit else f"{size / unit:.0f} {name}"
    return f"{size / 1e3:.0f} kB"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def _duration(seconds: float) -> str:
    """Seconds in words, in at most two units: 45 s, 5 min 20 s, 40 min, 3 h 5 min, 12 h."""
    minutes = round(seconds / 60)
    if seconds < 600:
        whole = round(seconds)
        return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 600 else f"{minutes / 60:.0f} h"
