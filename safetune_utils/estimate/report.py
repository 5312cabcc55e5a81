"""An estimate in words: the table, what was assumed, and the verdict."""

from __future__ import annotations

import math
from typing import Any

from safetune_utils.estimate.hardware import GB, HARDWARE, Hardware
from safetune_utils.estimate.memory import ALLOCATOR, RUNTIME_BYTES, USABLE
from safetune_utils.estimate.time import (
    DECODING_SHARE,
    LOADING_BYTES_PER_SECOND,
    QUANTIZED_SHARE,
    STEP_SECONDS_PER_LAYER,
    TRAINING_SHARE,
    UNDER_WAY,
)
from safetune_utils.settings import Settings


def assumed(
    settings: Settings, hardware: Hardware, rows: dict[str, Any], prompts: dict[str, Any]
) -> list[str]:
    share, how = TRAINING_SHARE[hardware.kind], settings.decoding
    measured = "measured just now" if hardware.name not in HARDWARE else "from its data sheet"
    half = "bf16" if hardware.bf16 or hardware.kind == "cpu" else "fp16"
    lines = [
        f"{hardware.name}: {hardware.half:.3g} TFLOP/s in {half}, {hardware.fp32:.3g} in fp32, {hardware.memory:.0f} GB, {hardware.bandwidth:.4g} GB/s, {measured}",
        f"training reaches {share['half']:.0%} of these rates in {half} and {share['fp32']:.0%} in fp32"
        + (
            f", times {QUANTIZED_SHARE[settings.quantization]} for unpacking {settings.quantization} weights"
            if settings.quantization != "none"
            else ""
        ),
        f"a decoding step reaches {DECODING_SHARE[hardware.kind]:.0%}, and each layer adds {STEP_SECONDS_PER_LAYER[hardware.kind][settings.quantization] * 1e3:.1f} ms; "
        f"every batch runs to {how.max_new_tokens} new tokens, with {UNDER_WAY:.0%} of its answers under way on average",
        f"working memory is {ALLOCATOR[hardware.kind]['training']} times what is in use in training and {ALLOCATOR[hardware.kind]['answering']} in answering, {RUNTIME_BYTES[hardware.kind] / GB:.1f} GB are Python's and the driver's, and {USABLE:.0%} of the memory can be had",
        *(
            [
                "adapters are trained side by side, one a thread; memory is that of one, and where there is less for several, fewer go at once"
            ]
            if hardware.kind == "cpu"
            else []
        ),
        f"weights are loaded at {LOADING_BYTES_PER_SECOND / GB:.1f} GB/s, twice an adapter",
    ]
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
    if hardware.kind == "gpu" and hardware.name in HARDWARE:
        lines.append("no time on a GPU was measured by this book: take it as right within a factor of two")
    if hardware.kind == "gpu" and not hardware.bf16 and settings.precision != "fp16":
        lines.append(f"{hardware.name} does not multiply bf16: give -p precision fp16 to the run, too")
    return lines


def verdict(result: dict[str, Any], hardware: Hardware) -> str:
    memory, n = result["memory"], len(result["time"]["adapters"])
    needs = f"{memory['peak']} takes {_bytes(memory['peak_bytes'])} at its peak, and {hardware.name} has {_bytes(memory['usable_bytes'])} to use"
    if not memory["fits"]:
        return f"does not fit: {needs}; try {memory['mend']}"
    return f"fits: {needs}; about {_duration(result['time']['study'])} for {n} adapter{'s' * (n > 1)} and {_bytes(sum(result['disk'].values()))} of disk"


def table(found: dict[str, Any]) -> list[dict[str, str]]:
    """An estimate as rows of text, ``what``, ``counts`` and ``value``, for a terminal."""
    settings, counts, shape, rows, per = (
        found[key] for key in ("settings", "parameters", "shape", "rows", "per")
    )
    memory, seconds, sets, how = (
        found["memory"],
        found["time"],
        found["prompts"]["sets"],
        found["settings"]["decoding"],
    )
    adapters, step = seconds["adapters"], per["step_seconds"]
    n, operations_of = (
        len(adapters),
        {key: sum(value.values()) / 1e9 for key, value in per["operations"].items()},
    )
    batches = sum(math.ceil(asked / how["batch_size"]) for asked in sets.values())
    lines = {
        "base model": (
            f"{counts['body']:,} in {shape['layers']} layers + {counts['embeddings'] + counts['head']:,} in embeddings + {counts['others']:,}",
            f"{counts['total']:,} parameters",
        ),
        "of a parameter": (
            f"in a layer, with quantization {settings['quantization']}",
            f"{per['parameter_bytes']:.4g} byte(s)",
        ),
        "an adapter": (
            f"rank {settings['recipe']['lora_rank']} on {', '.join(settings['recipe']['target_modules'])}",
            f"{counts['adapter']:,} parameters",
        ),
        "training": (
            f"{_range(adapters, 'rows')} rows x {settings['recipe']['epochs']} epochs x {_mean(adapters, settings):.1f} tokens, for each of {n}",
            f"{sum(entry['tokens'] for entry in adapters):,.0f} tokens",
        ),
        "arithmetic": (
            f"{operations_of['token']:.3g} x 10^9 operations a token + {operations_of['learned']:.3g} a learned one",
            f"{sum(entry['operations'] for entry in adapters) / 1e12:,.0f} x 10^12",
        ),
        "activations": (
            f"of a token in {'one layer at a time' if settings['quantization'] != 'none' else 'every layer'}; the longest row has {rows['longest']} tokens",
            f"{per['activation_bytes_of_a_token_in_a_layer']:,} bytes",
        ),
        "prompts": (
            f"{sum(sets.values()):,} in {len(sets)} sets x {how['max_new_tokens']} new tokens x {how['num_beams']} beam(s), {how['batch_size']} at once",
            f"{batches * how['max_new_tokens']:,} steps",
        ),
        "a step": (
            f"weights {_ms(step['weights'])} or arithmetic {_ms(step['arithmetic'])}, + cache {_ms(step['cache'])} + overhead {_ms(step['overhead'])}",
            _ms(step["all"]),
        ),
        "cache": (
            f"of a token: 2 x {shape['layers']} layers x {shape['kv_heads']} heads x {shape['head_size']}",
            f"{per['cache_bytes_of_a_token']:,} bytes",
        ),
        "memory, training": (_parts(memory["training"]), _bytes(memory["totals"]["training"])),
        "memory, answering": (_parts(memory["answering"]), _bytes(memory["totals"]["answering"])),
        "time, an adapter": (
            f"training {_mean_time(adapters, 'training')} + validating {_mean_time(adapters, 'validating')} + answering {_duration(seconds['answering'])}"
            f" + loading {_duration(seconds['loading'])}",
            _duration(seconds["study"] / n),
        ),
        "time, the study": (
            f"{len(settings['safety_amounts'])} amounts x {len(settings['seeds'])} seed(s)",
            _duration(seconds["study"]),
        ),
        "disk": (_parts(found["disk"]), _bytes(sum(found["disk"].values()))),
    }
    return [{"what": what, "counts": counted, "value": value} for what, (counted, value) in lines.items()]


def _range(adapters: list[dict[str, Any]], key: str) -> str:
    least, most = min(entry[key] for entry in adapters), max(entry[key] for entry in adapters)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _mean(adapters: list[dict[str, Any]], settings: dict[str, Any]) -> float:
    return sum(entry["tokens"] for entry in adapters) / sum(
        entry["rows"] * settings["recipe"]["epochs"] for entry in adapters
    )


def _mean_time(adapters: list[dict[str, Any]], key: str) -> str:
    return _duration(sum(entry[key] for entry in adapters) / len(adapters))


def _parts(parts: dict[str, float]) -> str:
    return " + ".join(f"{name} {_bytes(size)}" for name, size in parts.items() if size)


def _bytes(size: float) -> str:
    for unit, name in ((GB, "GB"), (1e6, "MB")):
        if size >= 0.1 * unit:
            return f"{size / unit:.1f} {name}" if size < 10 * unit else f"{size / unit:.0f} {name}"
    return f"{size / 1e3:.0f} kB"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def _duration(seconds: float) -> str:
    """Seconds in the two units that matter."""
    minutes = round(seconds / 60)
    if seconds < 600:
        whole = round(seconds)
        return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 600 else f"{minutes / 60:.0f} h"
