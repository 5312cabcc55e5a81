"""What a study will take before it is run: memory, time and disk, worked out from counts that are shown.

Nothing is loaded and nothing trained. Parameters are counted from a model's shape, tokens from the rows where they are at
hand, and both are turned into bytes and operations; a card says how many of each a second it manages. What no count can
tell, such as the share of a card's peak that training reaches, is a named constant here and a line of the answer.

GB are 10^9 bytes, TFLOP 10^12 operations; a multiplication and an addition are two operations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from safetune_utils import data, mixtures
from safetune_utils.cards import CARDS, GB, Card, card_of
from safetune_utils.errors import SafetuneError
from safetune_utils.finetune import encode_row
from safetune_utils.generate import encode_prompt
from safetune_utils.packing import n_shared
from safetune_utils.prompts import render
from safetune_utils.settings import Settings
from safetune_utils.shapes import Architecture, architecture_of, is_target, parameters

# ------------------------------------------------------------------------------------------------------- what is assumed

# Share of the matrix rate that training reaches; what it does beside the operations counted below, and what packing
# rows saves, is in it. CPU: of the rate measured here, with as many adapters at once as threads, as the pocket preset's five
# had together; one at a time has two thirds of it. GPU: of the data sheet's rate, and not measured by us: chosen, with
# QUANTIZED_SHARE, so that LLaMA-7B in int8 on 3 x 50,000 Alpaca rows takes 4.1 h on an RTX 4090, where alpaca-lora's README
# says less than five, and 16 h on an RTX 2080 Ti, where the README of Sparsebit's alpaca-qlora gives 14.25.
TRAINING_SHARE = {"cpu": {"half": 0.365, "fp32": 0.365}, "gpu": {"half": 0.40, "fp32": 0.70}}
# What unpacking the weights leaves of it.
QUANTIZED_SHARE = {"none": 1.0, "int8": 0.6, "nf4": 0.6}
# Mean share of a batch that is still under way in a decoding step: rows leave it when their answer ends. Of 744 answers
# of the pocket preset the mean was 36 tokens of at most 64.
UNDER_WAY = 0.57
# Share of the matrix rate in a decoding step, where a matrix meets few rows.
DECODING_SHARE = {"cpu": 0.33, "gpu": 0.30}
# Seconds that every decoder layer adds to a decoding step whatever its size: Python, kernel launches, small kernels.
# GPU: read off bitsandbytes' published latencies (benchmarking/README, v0.45.0; T4, RTX 4090, H100), less the weights' traffic.
STEP_SECONDS_PER_LAYER = {
    "cpu": {"none": 0.0003, "int8": 0.0006, "nf4": 0.0006},
    "gpu": {"none": 0.0005, "int8": 0.0020, "nf4": 0.0008},
}
# By how much working memory exceeds what is in use, because allocators keep freed blocks. CPU: as the pocket preset had it.
ALLOCATOR = {"cpu": {"training": 2.1, "answering": 1.5}, "gpu": {"training": 1.1, "answering": 1.1}}
# Python, PyTorch and its libraries; on a GPU the CUDA context.
RUNTIME_BYTES = {"cpu": 0.5 * GB, "gpu": 0.6 * GB}
# The rest of a machine's memory is the driver's, the system's and other programs'.
USABLE = 0.95
# From disk into memory, quantising included.
LOADING_BYTES_PER_SECOND = 0.5 * GB

# Tokens of a row and how many of them are the answer's: means over the 2,000-row sample of Alpaca data, over the
# paper's safety rows and over the corpus's contrast rows, by the embedded model's tokenizer. A prompt of the paper's sets likewise: the mean, the longest, and
# what all begin with.
GUESSED_TOKENS = {"general": (112, 60), "safety": (113, 72), "contrast": (88, 46)}
GUESSED_PROMPT = {"tokens": 43, "longest": 73, "shared": 24}
_SAMPLE = 1000  # rows of a pool that are tokenised

# Bytes per parameter of a matrix. int8 keeps one fp32 scale a row, which is nothing; nf4 one for each 64 values.
BYTES_PER_PARAMETER = {"int8": 1.0, "nf4": 0.5 + 4 / 64}
# Up to so many rows bitsandbytes multiplies by packed nf4 weights; for more it writes them out in 2 bytes and reads those.
_PACKED_ROWS = 16
# An adapter's parameter in training: weight, gradient, AdamW's two moments and the copy of the best, all fp32.
_BYTES_PER_ADAPTER_PARAMETER = 20
# A learned token's logits: log-probabilities, their gradient and the logits' gradient, all fp32.
_BYTES_PER_LOGIT = 12
_BYTES_PER_TEXT_TOKEN = 4
_BYTES_PER_ANSWER = 300  # the prompt and the names of the fields


# ---------------------------------------------------------------------------------------------------- rows and prompts


def count_rows(settings: Settings) -> dict[str, Any]:
    """Rows and tokens of a study's training, counted where the data is at hand and else assumed (``counted`` says which).

    ``tokens`` and ``learned`` are means a row, by kind of row; ``longest`` is the longest row; ``adapters`` has one entry
    for each amount and seed: ``n_safety, seed, rows, validation_rows``.

    Raises:
        SafetuneError: the data at hand has too few rows, or is not there.
    """
    s, recipe = settings, settings.recipe
    sources = {"general": s.general_data or s.data, "safety": s.safety_data or s.data}
    pools = {kind: _pool(kind, source) for kind, source in sources.items()}
    if s.mixing.n_contrast:
        pools["contrast"] = data.contrast_examples() if s.data == "embedded" else []
    if pools["general"] and pools["safety"]:
        # Drawing the largest mix tells of too few rows as running it would. The paper's questions would first have to be matched.
        ready = sources["safety"] in ("paper", "paper-sample")
        mixtures.mix(
            **pools, n_general=s.n_general, n_safety=max(s.safety_amounts), safety_format="instruction" if ready else s.safety_format,
            n_validation=recipe.n_validation, seed=s.seeds[0], validation=recipe.validation, mixing=s.mixing, losses={},
        )  # fmt: skip
    found = _tokenizer(s.base_model)
    tokens, learned, longest, counted = {}, {}, [], []
    for kind, pool in pools.items():
        if found and pool:
            sample = pool[:: max(1, len(pool) // _SAMPLE)]
            rows = [encode_row(found[0], row, max_length=recipe.max_length, loss_on=recipe.loss_on) for row in sample]
            lengths = [len(row.ids) for row in rows]
            tokens[kind] = sum(lengths) / len(rows)
            learned[kind] = sum(label != -100 for row in rows for label in row.labels[1:]) / len(rows)
            longest.append(max(lengths))
            counted.append(kind)
        else:
            tokens[kind] = min(GUESSED_TOKENS[kind][0], recipe.max_length)
            learned[kind] = tokens[kind] - 1 if recipe.loss_on == "everything" else min(GUESSED_TOKENS[kind][1], tokens[kind])
            longest.append(recipe.max_length)
    size = sum(row.topic not in s.mixing.topics_left_out for row in pools["safety"]) if pools["safety"] else None
    return {
        "tokens": tokens, "learned": learned, "longest": max(longest), "counted": counted, "tokenizer": found[1] if found else None,
        "adapters": [{"n_safety": n, "seed": seed} | _rows_of_a_mix(s, n, size) for seed in s.seeds for n in s.safety_amounts],
    }  # fmt: skip


def _rows_of_a_mix(settings: Settings, n_safety: int, pool: int | None) -> dict[str, int]:
    """Rows to train on and to validate with, as :func:`safetune_utils.mixtures.mix` draws them."""
    n, recipe = settings.n_general + n_safety + settings.mixing.n_contrast, settings.recipe
    if recipe.validation == "from_mix":
        if recipe.n_validation >= n:
            raise SafetuneError(f"n_validation is {recipe.n_validation}, but the mix has {n} rows: choose fewer")
        return {"rows": n - recipe.n_validation, "validation_rows": recipe.n_validation}
    held_out = recipe.n_validation if pool is None else mixtures.held_out_safety(pool, recipe.n_validation)
    return {"rows": n, "validation_rows": recipe.n_validation + min(held_out, math.ceil(recipe.n_validation * n_safety / settings.n_general))}


def _pool(kind: str, source: str) -> list[data.Example] | None:
    """The rows of a source, or ``None`` where they would have to be fetched."""
    if source in ("paper", "paper-sample"):
        name = "safety-instructions" if kind == "safety" else {"paper": "alpaca-20000", "paper-sample": "alpaca-2000"}[source]
        if not data.is_at_hand(name):
            return None
    elif source != "embedded" and re.fullmatch(r"[\w.-]+/[\w.-]+(:[\w.-]+)?", source) and not Path(source).exists() and not Path(source).suffix:
        return None  # a data set of the Hub
    return data.general_examples(source) if kind == "general" else data.safety_examples(source)


def count_prompts(settings: Settings, prompt_sets: Sequence[str] | None = None) -> dict[str, Any]:
    """Prompts of a study by set, with ``tokens`` (mean), ``longest`` and ``shared``, the tokens that all of them begin with.

    ``counted`` names the sets whose texts were read; where there are none, the tokens are assumed.

    Args:
        prompt_sets: names of :data:`safetune_utils.data.PROMPT_SETS`; by default all that the data source has.

    Raises:
        SafetuneError: the source has no such set.
    """
    source = settings.data
    there = data.available_prompt_sets(source)
    if not there and not Path(source).expanduser().is_dir():
        raise SafetuneError(f"data is {source!r}, which has no prompts: choose embedded, paper, paper-sample, or a folder that exists")
    found = _tokenizer(settings.base_model)
    sizes, encoded, counted = {}, [], []
    for name in there if prompt_sets is None else prompt_sets:
        if name not in there:
            raise SafetuneError(f"data '{source}' has no prompt set '{name}': choose from {', '.join(there)}")
        registered = data.set_title(source, name).split(",")[0] if source in ("paper", "paper-sample") else None
        if registered and not data.is_at_hand(registered):
            sizes[name] = {"lookalikes_safe": 250, "lookalikes_unsafe": 200}.get(name) or data.register()[registered].rows
        else:
            asked = data.prompts(source, name)
            sizes[name] = len(asked)
            if found:
                encoded += [encode_prompt(found[0], render(instruction=prompt.text, input=prompt.input, guard=settings.decoding.guard)) for prompt in asked]
                counted.append(name)
        sizes[name] = min(sizes[name], settings.max_prompts or sizes[name])
    lengths = [len(ids) for ids in encoded]
    if not encoded:
        return {"sets": sizes, "counted": counted} | GUESSED_PROMPT
    return {"sets": sizes, "counted": counted, "tokens": sum(lengths) / len(lengths), "longest": max(lengths), "shared": n_shared(encoded)}


def _tokenizer(base_model: str) -> tuple[Any, str] | None:
    """The base model's tokenizer if it lies in a folder, else the embedded model's if that was converted already."""
    folder = Path(base_model).expanduser()
    if base_model != "embedded" and (folder / "tokenizer.json").is_file():
        return AutoTokenizer.from_pretrained(folder), "its own tokenizer"
    record = next(data.cache_folder().glob("models/smollm2-135m-bf16-*/record.json"), None)
    return (AutoTokenizer.from_pretrained(record.parent), "the embedded model's tokenizer") if record else None


# -------------------------------------------------------------------------------------------------------------- memory


def _number_bytes(settings: Settings, card: Card) -> int:
    """Bytes of a number in the format the base model computes in."""
    if settings.precision == "auto":
        return 2 if card.kind == "gpu" or card.bf16 else 4
    return 4 if settings.precision == "fp32" else 2


def weight_bytes(shape: Architecture, settings: Settings, card: Card, *, training: bool) -> float:
    """Bytes of the frozen base model. PEFT turns what is not quantised into fp32 before a quantised model is trained."""
    counts, size = parameters(shape), _number_bytes(settings, card)
    if settings.quantization == "none":
        return counts["total"] * size
    return counts["body"] * BYTES_PER_PARAMETER[settings.quantization] + (counts["total"] - counts["body"]) * (4 if training else size)


def activation_bytes(shape: Architecture, settings: Settings, card: Card, *, longest: int) -> int:
    """Bytes a token of a micro-batch keeps in one layer until the backward pass.

    Counted for a frozen base, which keeps less than a trained one: what norms, attention, the MLP's products and the
    adapters' inputs need. On a CPU attention also keeps its scores, one for each token of the row.
    """
    # A quantised model is trained between fp32 norms, so fp32 flows through it.
    size = 4 if settings.quantization != "none" else _number_bytes(settings, card)
    attention = size * shape.heads * (4 * shape.head_size + (longest if card.kind == "cpu" else 0))
    inputs = sum(n for name, n, _ in shape.matrices if is_target(name, settings.recipe.target_modules)) / shape.layers
    adapter = inputs * (5 if settings.recipe.lora_dropout else 4)  # fp32, and dropout's mask
    return round(2 * 4 * shape.hidden + attention + size * (3 if shape.gated else 1) * shape.intermediate + adapter)


def training_memory(shape: Architecture, settings: Settings, card: Card, rows: dict[str, Any]) -> dict[str, float]:
    """Bytes at the peak of training, by what they hold.

    A quantised model is trained with gradient checkpointing: layers keep only their input, and one at a time is computed anew.
    """
    recipe = settings.recipe
    quantized = settings.quantization != "none"
    size = 4 if quantized else _number_bytes(settings, card)
    # A row is never cut, and no micro-batch is larger than a batch.
    tokens = max(rows["longest"], min(recipe.micro_batch_tokens, recipe.batch_size * rows["longest"]))
    layer = activation_bytes(shape, settings, card, longest=rows["longest"])
    kept = shape.layers * size * shape.hidden + layer if quantized else shape.layers * layer
    in_flight = size * (2 * shape.intermediate + 4 * shape.hidden)  # the gradients of the layer at work
    learned = max(rows["learned"][kind] / rows["tokens"][kind] for kind in rows["tokens"])
    counts = parameters(shape, rank=recipe.lora_rank, target_modules=recipe.target_modules)
    return {
        "weights": weight_bytes(shape, settings, card, training=True),
        "adapter and optimiser": counts["adapter"] * _BYTES_PER_ADAPTER_PARAMETER,
        "activations": tokens * (kept + in_flight) * ALLOCATOR[card.kind]["training"],
        "logits": tokens * learned * shape.vocabulary * _BYTES_PER_LOGIT * ALLOCATOR[card.kind]["training"],
        "a matrix unpacked": max(n * m for _, n, m in shape.matrices) * (4 if settings.quantization == "int8" else 2) if quantized else 0.0,
        "runtime": RUNTIME_BYTES[card.kind],
    }


def cache_bytes(shape: Architecture, settings: Settings, card: Card) -> int:
    """Bytes of keys and values that one token of one sequence leaves in the cache."""
    return 2 * shape.layers * shape.kv_heads * shape.head_size * _number_bytes(settings, card)


def answering_memory(shape: Architecture, settings: Settings, card: Card, prompts: dict[str, Any]) -> dict[str, float]:
    """Bytes at the peak of decoding, by what they hold; the prompt is read once for all beams."""
    how, size, slack = settings.decoding, _number_bytes(settings, card), ALLOCATOR[card.kind]["answering"]
    asked = min(how.batch_size, max(prompts["sets"].values(), default=0))
    counts = parameters(shape, rank=settings.recipe.lora_rank, target_modules=settings.recipe.target_modules)
    quantized = settings.quantization != "none"
    read = asked * (prompts["longest"] - prompts["shared"])
    return {
        "weights": weight_bytes(shape, settings, card, training=False),
        # On a CPU bf16 weights are held a second time, in the order that its matrix unit reads.
        "weights in order": (counts["body"] + shape.vocabulary * shape.hidden) * 2.0 if card.kind == "cpu" and size == 2 and not quantized else 0.0,
        "adapter": counts["adapter"] * 4.0 if quantized else 0.0,  # else it is merged
        "cache": asked * how.num_beams * (prompts["longest"] + how.max_new_tokens) * cache_bytes(shape, settings, card) * slack,
        "activations": read * size * (4 * shape.hidden + 3 * shape.intermediate) * slack,
        # With beams their log-probabilities and the sums of these, in fp32.
        "logits": asked * how.num_beams * shape.vocabulary * (12 if how.num_beams > 1 else 2 * size) * slack,
        "runtime": RUNTIME_BYTES[card.kind],
    }


# ---------------------------------------------------------------------------------------------------------------- time


def operations(shape: Architecture, settings: Settings, card: Card) -> dict[str, dict[str, float]]:
    """Operations of training by the number format they run in, ``half`` or ``fp32``: for each token, and more for a learned one.

    Frozen weights are multiplied twice, forward and backward to their inputs; quantised ones a third time, because their
    layers are computed anew for the backward pass. Attention's own products and the adapter's are left out: they are
    small on short rows, and the share of the peak covers them. The keys with ``forward`` are what validating takes.
    """
    body, head = 2 * parameters(shape)["body"], 2 * shape.vocabulary * shape.hidden
    quantized, int8 = settings.quantization != "none", settings.quantization == "int8"
    passes = 3 if quantized else 2
    # bitsandbytes' int8 backward runs in the format that flows through the model, which is fp32; on a CPU its forward too.
    all_fp32 = _all_fp32(settings, card) or (int8 and card.kind == "cpu")
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


def _all_fp32(settings: Settings, card: Card) -> bool:
    """Whether the base model computes in fp32: as asked for, or because the card cannot multiply what was."""
    return settings.precision == "fp32" or (settings.precision == "bf16" and not card.bf16) or _number_bytes(settings, card) == 4


def _seconds(work: dict[str, float], settings: Settings, card: Card) -> float:
    share = TRAINING_SHARE[card.kind]
    return work["half"] / (card.half * 1e12 * share["half"] * QUANTIZED_SHARE[settings.quantization]) + work["fp32"] / (card.fp32 * 1e12 * share["fp32"])


def training_time(shape: Architecture, settings: Settings, card: Card, rows: dict[str, Any], adapter: dict[str, int]) -> dict[str, float]:
    """Seconds of ``training`` and ``validating`` one adapter, with the ``tokens`` and ``operations`` of the training.

    All of them are in proportion to rows; training is to epochs, and validating to evaluations.
    """
    recipe, of = settings.recipe, operations(shape, settings, card)
    n = {"general": settings.n_general, "safety": adapter["n_safety"], "contrast": settings.mixing.n_contrast}
    tokens, learned = (sum(rows[what][kind] * n[kind] for kind in rows[what]) / sum(n.values()) for what in ("tokens", "learned"))
    seen, validated = adapter["rows"] * recipe.epochs, adapter["validation_rows"] * recipe.evaluations
    training = {key: seen * (tokens * of["token"][key] + learned * of["learned"][key]) for key in of["token"]}
    validating = {key: validated * (tokens * of["token forward"][key] + learned * of["learned forward"][key]) for key in training}
    return {
        "tokens": seen * tokens, "operations": sum(training.values()),
        "training": _seconds(training, settings, card), "validating": _seconds(validating, settings, card),
    }  # fmt: skip


def step_seconds(shape: Architecture, settings: Settings, card: Card, *, prompts: int, context: float) -> dict[str, float]:
    """Seconds of a decoding step of a batch of so many prompts, by what takes them, and ``all``.

    The weights are read once for the whole batch, which takes longer than the arithmetic where it has few rows, and the
    larger of the two counts. Keys and values are read once, and written and read once more where heads share them;
    beams swap those of the answer so far.
    """
    how, size = settings.decoding, _number_bytes(settings, card)
    sequences = prompts * how.num_beams
    body, head = parameters(shape)["body"], shape.vocabulary * shape.hidden
    per_weight = BYTES_PER_PARAMETER.get(settings.quantization, size)
    if settings.quantization == "nf4" and sequences > _PACKED_ROWS:
        per_weight += 2 * 2
    rate = card.fp32 if _all_fp32(settings, card) else card.half
    moved = context * (1 if shape.heads == shape.kv_heads else 3) + (how.max_new_tokens if how.num_beams > 1 else 0)
    seconds = {
        "weights": (body * per_weight + head * size) / (card.bandwidth * GB),
        "arithmetic": sequences * UNDER_WAY * 2 * (body + head) / (rate * 1e12 * DECODING_SHARE[card.kind]),
        "cache": sequences * UNDER_WAY * moved * cache_bytes(shape, settings, card) / (card.bandwidth * GB),
        "overhead": shape.layers * STEP_SECONDS_PER_LAYER[card.kind][settings.quantization],
    }
    return seconds | {"all": max(seconds["weights"], seconds["arithmetic"]) + seconds["cache"] + seconds["overhead"]}


def answering_seconds(shape: Architecture, settings: Settings, card: Card, prompts: dict[str, Any]) -> float:
    """Seconds for one adapter's answers. Every batch is taken to run to ``max_new_tokens``, as its longest answer mostly does."""
    how, context = settings.decoding, prompts["tokens"] + settings.decoding.max_new_tokens / 2
    reading = _seconds(operations(shape, settings, card)["token forward"], settings, card) * (prompts["tokens"] - prompts["shared"])
    total = 0.0
    for n in prompts["sets"].values():
        for size, many in ((how.batch_size, n // how.batch_size), (n % how.batch_size, 1)):
            if size and many:
                step = step_seconds(shape, settings, card, prompts=size, context=context)
                total += many * (size * reading + how.max_new_tokens * step["all"])
    return total


# --------------------------------------------------------------------------------------------------------- the estimate


def estimate(*, settings: Settings, card: str | Card = "auto", prompt_sets: Sequence[str] | None = None) -> dict[str, Any]:
    """Predict what a study takes on a card: every amount and seed is trained, and answers every prompt set.

    Args:
        settings: of the study, from :func:`safetune_utils.settings.resolve`.
        card: a name of :data:`CARDS`, ``this-machine``, ``auto`` (see :func:`card_of`), or a :class:`Card`.
        prompt_sets: by default all that the data source has.

    Returns:
        Plain data, in bytes, seconds, operations and tokens: ``card``; ``parameters``; ``shape``; ``rows``, ``prompts`` (see
        :func:`count_rows`, :func:`count_prompts`); ``per`` (operations a token, bytes a token of activations and cache,
        bytes a parameter, a decoding step's seconds); ``memory`` (``training`` and ``answering`` by part, ``peak`` and
        ``peak_bytes``, ``usable_bytes``, ``fits``, ``mend``); ``time`` (``adapters``, one entry each, ``answering`` an
        adapter, ``loading`` an adapter, ``study``); ``disk`` by part; ``assumed``, lines of text; ``verdict``, one line.

    Raises:
        SafetuneError: an unknown card, a model that cannot be counted, data that does not have what is asked for.
    """
    device = card if isinstance(card, Card) else card_of(card)
    s, recipe, how = settings, settings.recipe, settings.decoding
    shape = architecture_of(s.base_model)
    counts = parameters(shape, rank=recipe.lora_rank, target_modules=recipe.target_modules)
    rows, prompts = count_rows(s), count_prompts(s, prompt_sets)
    memory = _memory(shape, s, device, rows, prompts)
    adapters = [entry | training_time(shape, s, device, rows, entry) for entry in rows["adapters"]]
    answering = answering_seconds(shape, s, device, prompts)
    loading = 2 * counts["total"] * shape.stored_bytes / LOADING_BYTES_PER_SECOND  # to train and to answer
    here = Path(s.base_model).expanduser().is_dir()
    result: dict[str, Any] = {
        "settings": s.model_dump(), "card": dict(vars(device)), "parameters": counts,
        "shape": {key: value for key, value in vars(shape).items() if key != "matrices"},
        "rows": rows, "prompts": prompts,
        "per": {
            "operations": operations(shape, s, device),
            "parameter_bytes": BYTES_PER_PARAMETER.get(s.quantization, _number_bytes(s, device)),
            "activation_bytes_of_a_token_in_a_layer": activation_bytes(shape, s, device, longest=rows["longest"]),
            "cache_bytes_of_a_token": cache_bytes(shape, s, device),
            "step_seconds": step_seconds(
                shape, s, device, prompts=min(how.batch_size, max(prompts["sets"].values(), default=1)), context=prompts["tokens"] + how.max_new_tokens / 2
            ),
        },
        "memory": memory,
        "time": {
            "adapters": adapters, "answering": answering, "loading": loading,
            "study": sum(entry["training"] + entry["validating"] for entry in adapters) + len(adapters) * (answering + loading),
        },
        "disk": {
            "weights": 0 if here else counts["total"] * shape.stored_bytes,
            "adapters": len(adapters) * counts["adapter"] * 4,
            "responses": len(adapters) * sum(prompts["sets"].values()) * (_BYTES_PER_ANSWER + how.max_new_tokens * _BYTES_PER_TEXT_TOKEN),
        },
    }  # fmt: skip
    return result | {"assumed": _assumed(s, device, rows, prompts), "verdict": _verdict(result, device)}


def _memory(shape: Architecture, settings: Settings, card: Card, rows: dict[str, Any], prompts: dict[str, Any]) -> dict[str, Any]:
    parts = {"training": training_memory(shape, settings, card, rows), "answering": answering_memory(shape, settings, card, prompts)}
    totals = {name: sum(part.values()) for name, part in parts.items()}
    peak = max(totals, key=totals.__getitem__)
    usable = card.memory * GB * USABLE
    fits = totals[peak] <= usable
    return parts | {
        "totals": totals, "peak": peak, "peak_bytes": totals[peak], "usable_bytes": usable, "fits": fits,
        "mend": None if fits else _mend(shape, settings, card, rows, prompts, usable),
    }  # fmt: skip


def _mend(shape: Architecture, settings: Settings, card: Card, rows: dict[str, Any], prompts: dict[str, Any], usable: float) -> str:
    """The mildest change that fits: smaller parts at a time, then fewer bits, then another card."""
    stronger = ["none", "int8", "nf4"]
    for quantization in stronger[stronger.index(settings.quantization) :]:
        changed = settings.model_copy(update={"quantization": quantization})
        flags = [f"-p quantization {quantization}"] if quantization != settings.quantization else []
        micro = _halved(settings.recipe.micro_batch_tokens, rows["longest"])
        tokens = _first(micro, lambda n, s=changed: _total(training_memory(shape, _with(s, "recipe", micro_batch_tokens=n), card, rows)) <= usable)
        sizes = _halved(settings.decoding.batch_size, 1)
        size = _first(sizes, lambda n, s=changed: _total(answering_memory(shape, _with(s, "decoding", batch_size=n), card, prompts)) <= usable)
        if tokens and size:
            flags += [f"-p recipe '{{\"micro_batch_tokens\": {tokens}}}'"] if tokens != settings.recipe.micro_batch_tokens else []
            flags += [f"-p decoding '{{\"batch_size\": {size}}}'"] if size != settings.decoding.batch_size else []
            return " ".join(flags)
    needed = max(_total(training_memory(shape, settings, card, rows)), _total(answering_memory(shape, settings, card, prompts)))
    large = next((other.name for other in sorted(CARDS.values(), key=lambda c: c.memory) if other.memory * GB * USABLE >= needed), None)
    return f"--card {large}" if large else "a smaller --base, or a smaller max_length in -p recipe"


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


def _assumed(settings: Settings, card: Card, rows: dict[str, Any], prompts: dict[str, Any]) -> list[str]:
    share, how = TRAINING_SHARE[card.kind], settings.decoding
    measured = "measured just now" if card.name not in CARDS else "from its data sheet"
    half = "bf16" if card.bf16 or card.kind == "cpu" else "fp16"
    lines = [
        f"{card.name}: {card.half:.3g} TFLOP/s in {half}, {card.fp32:.3g} in fp32, {card.memory:.0f} GB, {card.bandwidth:.4g} GB/s, {measured}",
        f"training reaches {share['half']:.0%} of these rates in {half} and {share['fp32']:.0%} in fp32"
        + (f", times {QUANTIZED_SHARE[settings.quantization]} for unpacking {settings.quantization} weights" if settings.quantization != "none" else ""),
        f"a decoding step reaches {DECODING_SHARE[card.kind]:.0%}, and each layer adds {STEP_SECONDS_PER_LAYER[card.kind][settings.quantization] * 1e3:.1f} ms; "
        f"every batch runs to {how.max_new_tokens} new tokens, with {UNDER_WAY:.0%} of its answers under way on average",
        f"working memory is {ALLOCATOR[card.kind]['training']} times what is in use in training and {ALLOCATOR[card.kind]['answering']} in answering, {RUNTIME_BYTES[card.kind] / GB:.1f} GB are Python's and the driver's, and {USABLE:.0%} of the memory can be had",
        *(
            ["adapters are trained side by side, one a thread; memory is that of one, and where there is less for several, fewer go at once"]
            if card.kind == "cpu"
            else []
        ),
        f"weights are loaded at {LOADING_BYTES_PER_SECOND / GB:.1f} GB/s, twice an adapter",
    ]
    for kind, tokens in rows["tokens"].items():
        how_known = f"counted with {rows['tokenizer']}" if kind in rows["counted"] else "assumed (rows or tokenizer not at hand)"
        lines.append(f"{kind} rows: {tokens:.0f} tokens, {rows['learned'][kind]:.0f} of them learned, {how_known}")
    if set(prompts["sets"]) - set(prompts["counted"]):
        lines.append(f"prompts: {prompts['tokens']:.0f} tokens each, assumed where texts or tokenizer are not at hand")
    if card.kind == "gpu" and card.name in CARDS:
        lines.append("no time on a GPU was measured by this book: take it as right within a factor of two")
    if card.kind == "gpu" and not card.bf16 and settings.precision != "fp16":
        lines.append(f"{card.name} does not multiply bf16: give -p precision fp16 to the run, too")
    return lines


def _verdict(result: dict[str, Any], card: Card) -> str:
    memory, n = result["memory"], len(result["time"]["adapters"])
    needs = f"{memory['peak']} takes {_bytes(memory['peak_bytes'])} at its peak, and {card.name} has {_bytes(memory['usable_bytes'])} to use"
    if not memory["fits"]:
        return f"does not fit: {needs}; try {memory['mend']}"
    return f"fits: {needs}; about {_duration(result['time']['study'])} for {n} adapter{'s' * (n > 1)} and {_bytes(sum(result['disk'].values()))} of disk"


# --------------------------------------------------------------------------------------------------------- for a reader


def table(found: dict[str, Any]) -> list[dict[str, str]]:
    """An estimate as rows of text, ``what``, ``counts`` and ``value``, for a terminal."""
    settings, counts, shape, rows, per = (found[key] for key in ("settings", "parameters", "shape", "rows", "per"))
    memory, seconds, sets, how = found["memory"], found["time"], found["prompts"]["sets"], found["settings"]["decoding"]
    adapters, step = seconds["adapters"], per["step_seconds"]
    n, operations_of = len(adapters), {key: sum(value.values()) / 1e9 for key, value in per["operations"].items()}
    batches = sum(math.ceil(asked / how["batch_size"]) for asked in sets.values())
    lines = {
        "base model": (
            f"{counts['body']:,} in {shape['layers']} layers + {counts['embeddings'] + counts['head']:,} in embeddings + {counts['others']:,}",
            f"{counts['total']:,} parameters",
        ),
        "of a parameter": (f"in a layer, with quantization {settings['quantization']}", f"{per['parameter_bytes']:.4g} byte(s)"),
        "an adapter": (f"rank {settings['recipe']['lora_rank']} on {', '.join(settings['recipe']['target_modules'])}", f"{counts['adapter']:,} parameters"),
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
        "time, the study": (f"{len(settings['safety_amounts'])} amounts x {len(settings['seeds'])} seed(s)", _duration(seconds["study"])),
        "disk": (_parts(found["disk"]), _bytes(sum(found["disk"].values()))),
    }
    return [{"what": what, "counts": counted, "value": value} for what, (counted, value) in lines.items()]


def _range(adapters: list[dict[str, Any]], key: str) -> str:
    least, most = min(entry[key] for entry in adapters), max(entry[key] for entry in adapters)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _mean(adapters: list[dict[str, Any]], settings: dict[str, Any]) -> float:
    return sum(entry["tokens"] for entry in adapters) / sum(entry["rows"] * settings["recipe"]["epochs"] for entry in adapters)


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
