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
    ours
        ``safetune_utils.training.finetune.finetune``, with the one validation row it cannot do without.
    ours-side-by-side
        two of them at once on half the threads each, as a study trains its adapters on a CPU; their tokens a
        second and their memory are summed.
    trainer-fp32
        the paper's repository today: Hugging Face Trainer, 4 rows at a time and 2 times a step, rows in
        random order, padded to a multiple of 8, logits at every position; all in fp32.
    trainer-bf16
        the same with the frozen base loaded in bf16 and the adapter in fp32, as PEFT makes it. In a trial on
        16 rows autocast (``bf16=True``) on top was no faster, nor was autocast on fp32 weights.
    trl
        TRL's SFTTrainer as it comes: fp32 weights under bf16 autocast, activations computed twice.
    trl-no-recompute
        the same with ``gradient_checkpointing=False``.
    trl-bf16-base
        the same again, with the frozen base loaded in bf16 and no autocast: TRL at its best here.

``fraction_of_matmul`` says how much of the machine's matrix speed arrives at the training. What has to be
computed is taken as 2 * 2 * (parameters of the decoder's layers) operations for each real token and 2 * 2 *
vocabulary * width for each learned token: a multiplication and an addition, once forward and once backward to
the inputs, for frozen weights need no gradient of their own. Attention's own products and the adapter's are
left out; padding and unlearned logits earn nothing. The machine's speed is that of a 1024 x 1024 matrix
product in the side's number format, measured in the same process just before and after the training.
"""

from __future__ import annotations

import argparse
import json
import statistics
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
from taking_turns import (
    by_side,
    machine,
    measured,
    plain_model,
    quiet,
    ratio,
    spread,
    take_turns,
    together,
    versions,
    write_result,
)
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)

from safetune_utils import data, places
from safetune_utils.data.mix import Mix, mix
from safetune_utils.machine import stopping
from safetune_utils.models import embedded
from safetune_utils.models.base_model import load_base
from safetune_utils.models.template import render
from safetune_utils.settings import USUAL_TARGETS, Recipe
from safetune_utils.training.finetune import finetune
from safetune_utils.training.rows import Row, encode_row

RECIPE = Recipe(
    epochs=1,
    batch_size=8,
    learning_rate=2e-3,
    max_length=256,
    n_validation=1,
    evaluations=1,
    target_modules=USUAL_TARGETS,
)
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
        stopping.end_with_parent()
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
    """Two adapters at once on half the threads each, as a study trains them; their speeds and memory are
    summed.
    """
    command = [sys.executable, str(Path(__file__)), "--side", "ours", "--rows", str(n_rows)]
    found = together(command, n=2, threads=max(1, torch.get_num_threads() // 2))
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
        lora_alpha=int(RECIPE.lora_alpha),
        lora_dropout=RECIPE.lora_dropout,
        target_modules=RECIPE.target_modules,
        bias="none",
    )


@cache
def mixture() -> Mix:
    return mix(
        general=data.general_examples("embedded"),
        safety=data.safety_examples("embedded"),
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


if __name__ == "__main__":
    main()
