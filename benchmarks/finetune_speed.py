"""Measure how fast an adapter is trained: the book's own loop beside the trainers one would otherwise take.

    pip install -e '.[bench]'
    python benchmarks/finetune_speed.py --rows 96 --rounds 3

Every side trains the same LoRA adapter on the same rows: one epoch, batches of 8, the loss on the answer. The
sides take turns, each in a process of its own, so that none finds the machine warmer or fuller than another,
and a slow minute of the machine falls on one round of all sides and not on one side. Loading the model is not
timed. ``--side NAME`` runs one side here and prints its measurements as one line of JSON: ``seconds`` is the
training alone, ``seconds_whole`` goes from the rows' texts to the trained adapter, and so does the peak
memory.

Sides:
    ours              ``safetune_utils.finetune.finetune``, with the one validation row it cannot do without.
    ours-side-by-side two of them at once on half the threads each, as a study trains its adapters on a CPU;
    their tokens
                      a second and their memory are added up.
    trainer-fp32      the paper's repository today: Hugging Face Trainer, 4 rows at a time and 2 times a step,
    rows in
                      random order, padded to a multiple of 8, logits at every position; all in fp32.
    trainer-bf16      the same with the frozen base loaded in bf16 and the adapter in fp32, as PEFT makes it.
    In a trial
                      on 16 rows autocast (``bf16=True``) on top was no faster, nor was autocast on fp32
                      weights.
    trl               TRL's SFTTrainer as it comes: fp32 weights under bf16 autocast, activations computed
    twice. trl-no-recompute  the same with ``gradient_checkpointing=False``. trl-bf16-base     the same again,
    with the frozen base loaded in bf16 and no autocast: TRL at its best here.

``fraction_of_matmul`` says how much of the machine's matrix speed arrives at the training. What has to be
computed is taken as 2 * 2 * (parameters of the decoder's layers) operations for each real token and 2 * 2 *
vocabulary * width for each learned token: a multiplication and an addition, once forward and once backward to
the inputs, for frozen weights need no gradient of their own. Attention's own products and the adapter's are
left out; padding and unlearned logits earn nothing. The machine's speed is that of a 1024 x 1024 matrix
product in the side's number format, measured in the same process just before and after the training.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, TaskType, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)
from transformers import logging as transformers_logging

from safetune_utils import data, places
from safetune_utils.data.mix import Mix
from safetune_utils.machine.memory import peak_memory, release_memory
from safetune_utils.machine.surroundings import processor_name
from safetune_utils.models import embedded
from safetune_utils.models.base_model import load_base
from safetune_utils.models.template import render
from safetune_utils.settings import Recipe
from safetune_utils.training.finetune import Row, encode_row, finetune

RECIPE = Recipe(epochs=1, batch_size=8, learning_rate=2e-3, max_length=256, n_validation=1, evaluations=1)
MICRO_BATCH = 4
PACKAGES = ("torch", "transformers", "peft", "accelerate", "trl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", choices=SIDES, help="run one side in this process")
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--output", type=Path, default=places.data_folder() / "results" / "finetune_speed.json"
    )
    given = parser.parse_args()
    if given.side:
        quiet()
        print(json.dumps({"side": given.side} | SIDES[given.side](given.rows)))
        return
    rounds = take_turns(
        script=Path(__file__), sides=list(SIDES), rounds=given.rounds, arguments=["--rows", str(given.rows)]
    )
    result = {
        "made_by": "benchmarks/finetune_speed.py",
        "rows": given.rows,
        "rounds": rounds,
        "summary": summary(rounds),
    }
    write_result(given.output, result | {"machine": machine(rounds), "versions": versions(PACKAGES)})


# ------------------------------------------------------------------------------------------------------------
# the sides


def ours(n_rows: int) -> dict[str, Any]:
    model, tokenizer = load_base("embedded")
    drawn = mixture()
    small = Mix(train=drawn.train[:n_rows], validation=drawn.validation[:1])
    with tempfile.TemporaryDirectory() as folder:
        facts, measures = measured(
            lambda: finetune(
                model=model, tokenizer=tokenizer, mix=small, recipe=RECIPE, seed=0, output=Path(folder)
            ),
        )
    precision = "bf16" if model.dtype == torch.bfloat16 else "fp32"
    return report(
        encoded(tokenizer, n_rows), precision, measures, seconds=facts["tokens"] / facts["tokens_per_second"]
    )


def ours_side_by_side(n_rows: int) -> dict[str, Any]:
    """Two adapters at once on half the threads each, as a study trains them; speeds and memory of both added
    up.
    """
    command = [sys.executable, str(Path(__file__)), "--side", "ours", "--rows", str(n_rows)]
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // 2))}
    pair = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        for _ in range(2)
    ]
    found = [json.loads(process.communicate()[0].splitlines()[-1]) for process in pair]
    added = {key: sum(run[key] for run in found) for key in ("tokens_per_second", "peak_memory_bytes")}
    # What one thread multiplies is not half of what two do, where both belong to one core: `summary` takes
    # the share from the other side's rate.
    return (
        found[0]
        | added
        | {"fraction_of_matmul": None, "threads": torch.get_num_threads(), "side": "ours-side-by-side"}
    )


def hugging_face(n_rows: int, *, precision: str) -> dict[str, Any]:
    base, tokenizer = plain_model(precision)
    clock: dict[str, float] = {}

    def train() -> list[Row]:
        rows = encoded(tokenizer, n_rows)
        features = [
            {"input_ids": row.ids, "attention_mask": [1] * len(row.ids), "labels": row.labels} for row in rows
        ]
        base.config.use_cache = False
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(
                model=get_peft_model(base, lora()),
                train_dataset=Dataset.from_list(features),
                args=TrainingArguments(
                    output_dir=folder, logging_strategy="no", dataloader_num_workers=0, **arguments(n_rows)
                ),
                data_collator=DataCollatorForSeq2Seq(
                    tokenizer, pad_to_multiple_of=8, return_tensors="pt", padding=True
                ),
            )
            clock["start"] = time.perf_counter()
            trainer.train()
            clock["end"] = time.perf_counter()
        return rows

    rows, measures = measured(train)
    return report(rows, precision, measures, seconds=clock["end"] - clock["start"])


def trl(n_rows: int, *, weights: str, **changes: Any) -> dict[str, Any]:
    from trl import SFTConfig, SFTTrainer

    base, tokenizer = plain_model(weights)
    examples = mixture().train[:n_rows]
    # Our encoding, too, drops white space before the answer.
    texts = [
        {"prompt": render(instruction=row.instruction, input=row.input), "completion": row.output.lstrip()}
        for row in examples
    ]
    clock: dict[str, float] = {}

    def train() -> list[Row]:
        with tempfile.TemporaryDirectory() as folder:
            config = SFTConfig(
                output_dir=folder,
                completion_only_loss=True,
                max_length=RECIPE.max_length,
                **arguments(n_rows),
                **changes,
            )
            trainer = SFTTrainer(
                model=base,
                args=config,
                train_dataset=Dataset.from_list(texts),
                processing_class=tokenizer,
                peft_config=lora(),
            )
            clock["start"] = time.perf_counter()
            trainer.train()
            clock["end"] = time.perf_counter()
        return [Row(row["input_ids"], row["labels"], truncated=False) for row in trainer.train_dataset]

    rows, measures = measured(train)
    difference = sum(len(row.ids) for row in rows) - sum(len(row.ids) for row in encoded(tokenizer, n_rows))
    return report(rows, "bf16", measures, seconds=clock["end"] - clock["start"]) | {
        "tokens_more_than_ours": difference
    }


SIDES: dict[str, Callable[[int], dict[str, Any]]] = {
    "ours": ours,
    "ours-side-by-side": ours_side_by_side,
    "trainer-fp32": partial(hugging_face, precision="fp32"),
    "trainer-bf16": partial(hugging_face, precision="bf16"),
    "trl": partial(trl, weights="fp32"),
    "trl-no-recompute": partial(trl, weights="fp32", gradient_checkpointing=False),
    "trl-bf16-base": partial(trl, weights="bf16", bf16=False, gradient_checkpointing=False),
}


def arguments(n_rows: int) -> dict[str, Any]:
    """What both rival trainers are told: the recipe, the paper's cut into micro-batches, and to write
    nothing.
    """
    steps = -(-n_rows // RECIPE.batch_size)
    return {
        "per_device_train_batch_size": MICRO_BATCH,
        "gradient_accumulation_steps": RECIPE.batch_size // MICRO_BATCH,
        "num_train_epochs": RECIPE.epochs,
        "learning_rate": RECIPE.learning_rate,
        "warmup_steps": min(RECIPE.warmup_steps, steps // 2),
        "seed": 0,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
    }


def lora() -> LoraConfig:
    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=RECIPE.lora_rank,
        lora_alpha=RECIPE.lora_alpha,
        lora_dropout=RECIPE.lora_dropout,
        target_modules=RECIPE.target_modules,
        bias="none",
    )


@cache
def mixture() -> Mix:
    general, safety = data.general_examples("embedded"), data.safety_examples("embedded")
    return data.mix(
        general=general,
        safety=safety,
        n_general=320,
        n_safety=100,
        safety_format="instruction",
        n_validation=40,
        seed=0,
    )


def encoded(tokenizer: Any, n_rows: int) -> list[Row]:
    return [
        encode_row(tokenizer, row, max_length=RECIPE.max_length, loss_on=RECIPE.loss_on)
        for row in mixture().train[:n_rows]
    ]


def report(rows: list[Row], precision: str, measures: dict[str, Any], *, seconds: float) -> dict[str, Any]:
    n_tokens = sum(len(row.ids) for row in rows)
    # The first position has nothing before it to be predicted from.
    n_learned = sum(label != -100 for row in rows for label in row.labels[1:])
    operations = training_operations(n_tokens=n_tokens, n_learned=n_learned)
    return {
        "precision": precision,
        "tokens": n_tokens,
        "learned_tokens": n_learned,
        "tokens_per_second": round(n_tokens / seconds, 1),
        "fraction_of_matmul": round(operations / seconds / 1e9 / measures["matmul_gflops"][precision], 4),
        **measures,
        "seconds": seconds,
        "seconds_whole": measures["seconds"],
    }


def training_operations(*, n_tokens: int, n_learned: int) -> int:
    """Operations that training an adapter on the embedded model cannot go without; the formula is this
    script's first text.
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(embedded.embedded_folder()))
    vocabulary, width = model.get_input_embeddings().weight.shape
    layers = sum(p.numel() for p in model.get_decoder().parameters()) - vocabulary * width
    return 2 * 2 * layers * n_tokens + 2 * 2 * vocabulary * width * n_learned


def summary(rounds: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    found = []
    for row in rounds:
        one, two = ({run["side"]: run for run in row}[name] for name in ("ours", "ours-side-by-side"))
        if "error" not in one | two:  # the same rows, so operations are in proportion to tokens
            two["fraction_of_matmul"] = round(
                one["fraction_of_matmul"] * two["tokens_per_second"] / one["tokens_per_second"], 4
            )
    for name, runs in by_side(rounds).items():
        if error := next((run["error"] for run in runs if "error" in run), None):
            found.append({"side": name, "error": error})
            continue
        found.append(
            {
                "side": name,
                "precision": runs[0]["precision"],
                "tokens_per_second": spread([run["tokens_per_second"] for run in runs]),
                "ratio_of_ours": ratio(rounds, "ours", name),
                "ratio_of_ours_side_by_side": ratio(rounds, "ours-side-by-side", name),
                "peak_memory_bytes": int(statistics.median(run["peak_memory_bytes"] for run in runs)),
                "fraction_of_matmul": round(statistics.median(run["fraction_of_matmul"] for run in runs), 4),
            }
        )
    return found


# --------------------------------------------------------------------------- what generate_speed.py shares
# with this


def plain_model(precision: str) -> tuple[Any, Any]:
    """The embedded base as anybody would load it, without what ``safetune_utils`` sets on it for speed."""
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    model = AutoModelForCausalLM.from_pretrained(embedded.embedded_folder(), dtype=dtype)
    return model, AutoTokenizer.from_pretrained(embedded.embedded_folder())


def measured(work: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """Do some work; return what it gave, its time and peak memory, and the machine's matrix speed around it."""
    before = matmul_gflops()
    release_memory()  # so that the peak is the work's own
    with peak_memory() as peak:
        clock, used = time.perf_counter(), time.process_time()
        result = work()
        seconds, used = time.perf_counter() - clock, time.process_time() - used
    after = matmul_gflops()
    return result, {
        "seconds": seconds,
        # Far below threads x seconds, something else had the machine: the matrix products before and after
        # would not show it.
        "processor_seconds": used,
        "peak_memory_bytes": peak["bytes"],
        "matmul_gflops": {name: round((before[name] + after[name]) / 2, 1) for name in before},
        "threads": torch.get_num_threads(),
    }


def matmul_gflops(*, size: int = 1024, seconds: float = 0.5) -> dict[str, float]:
    """Speed of a square matrix product in each number format, in 10^9 operations a second."""
    rates = {}
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
        a @ b  # the first product prepares the kernel
        n, clock = 0, time.perf_counter()
        while time.perf_counter() - clock < seconds:
            a @ b
            n += 1
        rates[name] = n * 2 * size**3 / (time.perf_counter() - clock) / 1e9
    return rates


def take_turns(
    *, script: Path, sides: list[str], rounds: int, arguments: list[str]
) -> list[list[dict[str, Any]]]:
    """Run every side of a script once a round, each in its own process; a side that fails gives its error's
    last line.
    """
    results = []
    for number in range(1, rounds + 1):
        results.append([])
        for side in sides:
            command = [sys.executable, str(script), "--side", side, *arguments]
            done = subprocess.run(
                command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}
            )
            if done.returncode == 0:
                run = json.loads(done.stdout.splitlines()[-1])
            else:
                killed = f"killed by signal {-done.returncode}" if done.returncode < 0 else ""
                run = {
                    "side": side,
                    "error": killed
                    or (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1],
                }
            results[-1].append(run)
            print(
                f"round {number}, {side}: {run.get('error') or str(run['tokens_per_second']) + ' tokens/s'}",
                flush=True,
            )
    return results


def by_side(rounds: list[list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    return {
        side["side"]: [run for row in rounds for run in row if run["side"] == side["side"]]
        for side in rounds[0]
    }


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def ratio(rounds: list[list[dict[str, Any]]], faster: str, slower: str) -> dict[str, float] | None:
    """How many times a side's tokens per second another's are, taken within each round."""
    runs = by_side(rounds)
    if any("error" in run for run in (*runs[faster], *runs[slower])):
        return None
    return spread(
        [
            a["tokens_per_second"] / b["tokens_per_second"]
            for a, b in zip(runs[faster], runs[slower], strict=True)
        ]
    )


def machine(rounds: list[list[dict[str, Any]]]) -> dict[str, Any]:
    threads = next((run["threads"] for row in rounds for run in row if "threads" in run), None)
    return {"processor": processor_name(), "threads": threads}


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def quiet() -> None:
    """Hold back loading bars and warnings, which are not what is measured."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def write_result(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result["summary"], indent=1))


if __name__ == "__main__":
    main()
