"""From a mix to an adapter: LoRA training with PEFT on a frozen base model.

One plain loop, to be read from top to bottom: encode the rows, put rows of similar length into batches, and
at each step learn the answers' tokens. The frozen base model is held in bf16 where that is fast, the adapter
always in fp32. Method: LoRA (Hu et al., 2022).
"""

from __future__ import annotations

import math
import random
import time
from pathlib import Path

import torch
from peft import (
    LoraConfig,
    PeftModel,
    TaskType,
    get_peft_model,
    prepare_model_for_kbit_training,
    set_peft_model_state_dict,
)
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from safetune_utils.data.mix import Mix
from safetune_utils.errors import SafetuneError, first_line
from safetune_utils.machine import distributed
from safetune_utils.machine.memory import trim_heap
from safetune_utils.models.adapters import is_zero, save_adapter
from safetune_utils.models.architecture import targets_of
from safetune_utils.models.template import ALPACA
from safetune_utils.settings import Recipe
from safetune_utils.terminal import plain, say, shows
from safetune_utils.training import curves
from safetune_utils.training.checkpoint import RunState, StepLosses, copy_weights, resume, save
from safetune_utils.training.loss import accumulate_gradient, mean_loss, proven_way
from safetune_utils.training.rows import (
    Row,
    RowCounts,
    batches,
    encode,
)

_TRIM_EVERY = 8  # steps; at every step it would take a sixth of the time


class TrainingFacts(RowCounts):
    """What a training run tells for the record; losses are mean cross-entropy per learned token, in nats.

    Attributes:
        validation_rows: rows that the validation loss was measured on.
        steps: optimiser steps made.
        tokens: tokens of all rows trained on, prompts included.
        tokens_per_second: of the steps since the run was started or resumed.
        resumed_at_step: the step that it was resumed after; 0 where it was not.
        best_step: the step of the adapter that is kept.
        best_validation_loss: the loss of that adapter, the lowest measured; lower is better.
        last_train_loss: the loss of the last batch.
        trainable_parameters: of the adapter.
        processes: that trained together.
        loss_way: how the loss was computed, see :mod:`safetune_utils.training.loss`.
        skipped_steps: steps that changed nothing, because the gradient overflowed in fp16.
    """

    validation_rows: int
    steps: int
    tokens: int
    tokens_per_second: float
    resumed_at_step: int
    best_step: int
    best_validation_loss: float
    last_train_loss: float
    trainable_parameters: int
    processes: int
    loss_way: str
    skipped_steps: int


def finetune(
    *,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    mix: Mix,
    recipe: Recipe,
    seed: int,
    output: Path,
    template: str = ALPACA,
    progress: str | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 10,
) -> TrainingFacts:
    """Train an adapter and save the one with the lowest validation loss, in PEFT's own form.

    Args:
        model: the frozen base model; it is wrapped, so load it again for the next adapter.
        tokenizer: the base model's.
        mix: its last ``n_later`` rows are trained on after the others, all epochs of these first, with a
            warm-up and decay of their own, as a second fine-tuning has, and the last adapter is kept.
        recipe: how it is trained.
        seed: decides the adapter's start, the dropout and the order of the batches.
        output: folder for ``adapter_model.safetensors``, ``adapter_config.json`` and ``losses.csv``.
        template: ``alpaca``, or ``chat``, the tokenizer's own form.
        progress: a label for the progress bar; ``None`` shows none.
        checkpoint: a file that holds the state of the run every ``checkpoint_every`` steps. If it is there,
            the run goes on from it, and ends with the same bytes as one that was never stopped. It stays:
            remove it when the result is safe.
        checkpoint_every: in optimiser steps.

    Returns:
        Facts for the record.

    Raises:
        SafetuneError: no row has an answer left, the loss is not a number, or the adapter came out all zero.
    """
    parts, validation, counts = _encode_mix(tokenizer, mix, recipe, template, progress)
    torch.manual_seed(seed)
    half = model.dtype == torch.float16  # before a quantised model's norms are put into fp32
    adapted = with_adapter(model, recipe)
    if distributed.rank():
        torch.manual_seed(seed + 1_000_003 * distributed.rank())  # the same start, but a dropout of its own
    way = proven_way(adapted)
    weights = [p for p in adapted.parameters() if p.requires_grad]
    # Gradients below fp16's smallest number would be lost: the loss is scaled up, and the step scaled down.
    scaler = torch.amp.GradScaler(model.device.type, enabled=half)
    optimiser = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=0.0)
    steps = [recipe.epochs * math.ceil(len(rows) / recipe.batch_size) for rows in parts]
    rates = learning_rates(steps, recipe.warmup_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rates[step])
    evaluate_at = _evaluation_steps(steps, recipe)
    plan = _plan(parts, recipe, seed)
    resumed = resume(checkpoint, adapted, optimiser, schedule, scaler) if checkpoint else None
    run = resumed or _new_run()
    first_step, first_token, clock = run["step"], run["n_tokens"], time.perf_counter()
    left = [] if _is_done(run, recipe) else plan[first_step:]
    name = (checkpoint or output).stem
    with (
        _progress_bar(progress, first_step, sum(steps)) as bar,
        curves.drawing(name, first_step=first_step) as draw,
    ):
        for batch in left:
            adapted.train()
            loss = accumulate_gradient(
                adapted, batch, recipe.micro_batch_tokens, way=way, scaled=scaler.scale
            )
            if not math.isfinite(loss):
                raise SafetuneError(
                    f"the training loss is {loss} at step {run['step'] + 1}: "
                    f"lower learning_rate (now {recipe.learning_rate}) or use precision fp32"
                )
            scaler.unscale_(optimiser)
            if not math.isfinite(torch.nn.utils.clip_grad_norm_(weights, 1.0).item()):
                _check_overflow(scaler, recipe, run["step"] + 1)
                run["skipped"] += 1
            scaler.step(optimiser)  # in fp16 not where the gradient overflowed
            scaler.update()
            schedule.step()
            optimiser.zero_grad()
            run["step"] += 1
            run["n_tokens"] += sum(len(row.ids) for row in batch)
            validation_loss = math.nan
            if run["step"] in evaluate_at:
                validation_loss = mean_loss(adapted, validation, recipe.micro_batch_tokens, way=way)
            if validation_loss < run["best_loss"]:
                run["best_loss"], run["best_step"] = validation_loss, run["step"]
                run["best_weights"] = copy_weights(adapted)
            run["losses"].append(
                {"step": run["step"], "train_loss": loss, "validation_loss": validation_loss}
            )
            draw(run["losses"][-1])
            if run["step"] % _TRIM_EVERY == 0:
                trim_heap()
            if checkpoint and run["step"] % checkpoint_every == 0:
                save(checkpoint, run, adapted, optimiser, schedule, scaler)
            speed = (run["n_tokens"] - first_token) / (time.perf_counter() - clock)
            bar.set_postfix_str(f"loss {loss:.2f}, {speed:.0f} tokens/s", refresh=False)
            bar.update()
            if _is_done(run, recipe):
                break
    speed = (run["n_tokens"] - first_token) / (time.perf_counter() - clock)
    _save_best(adapted, run, output)
    return _facts(
        run, counts, validation=validation, weights=weights, first_step=first_step, speed=speed, way=way
    )


def learning_rates(steps: list[int], warmup_steps: int) -> list[float]:
    """The learning rate at each step as a share of its peak, 0 after the last: in each part up, linearly,
    then down to 0.

    Args:
        steps: of each part.
        warmup_steps: steps on which the rate goes up; at most half of a part's.

    Returns:
        One number from 0 to 1 for each step of all parts, and a last 0.
    """
    rates: list[float] = []
    for n in steps:
        up = min(warmup_steps, n // 2)
        rates += [k / up if k < up else (n - k) / (n - up) for k in range(n)]
    return [*rates, 0.0]


def with_adapter(model: PreTrainedModel, recipe: Recipe) -> PeftModel:
    """A base model with a new adapter.

    The adapter's start is drawn from PyTorch's random state.

    Raises:
        SafetuneError: the recipe's ``target_modules`` are not layers of this model.
    """
    if getattr(model, "is_quantized", False):
        model = prepare_model_for_kbit_training(model, gradient_checkpointing_kwargs={"use_reentrant": False})
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=recipe.lora_rank,
        # PEFT's annotation is too narrow: it takes any number.
        lora_alpha=recipe.lora_alpha,  # type: ignore[arg-type]
        lora_dropout=recipe.lora_dropout,
        target_modules=recipe.target_modules or targets_of(model),
        bias="none",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise SafetuneError(
            f"target_modules {recipe.target_modules} are not layers of this model "
            f"({first_line(error)}): name its own"
        ) from None


def _encode_mix(
    tokenizer: PreTrainedTokenizerBase, mix: Mix, recipe: Recipe, template: str, progress: str | None
) -> tuple[list[list[Row]], list[Row], RowCounts]:
    """The rows of each part that is trained on, one after the other where some rows come later; the
    validation rows; and the counts of the first.
    """
    border = len(mix.train) - mix.n_later
    parts = [part for part in (mix.train[:border], mix.train[border:]) if part]
    encoded = [encode(tokenizer, part, recipe, template=template) for part in parts]
    counts: RowCounts = {
        "rows": sum(part["rows"] for _, part in encoded),
        "dropped": sum(part["dropped"] for _, part in encoded),
        "truncated": sum(part["truncated"] for _, part in encoded),
    }
    validation, _ = encode(tokenizer, mix.validation, recipe, template=template)
    if progress and (counts["dropped"] or counts["truncated"]):
        say(
            f"{progress}: {counts['dropped']} rows dropped (no answer within {recipe.max_length} tokens), "
            f"{counts['truncated']} truncated"
        )
    return [rows for rows, _ in encoded], validation, counts


def _plan(parts: list[list[Row]], recipe: Recipe, seed: int) -> list[list[Row]]:
    """The batch of each step: all epochs of the first part, then those of the second."""
    order = random.Random(seed)
    return [
        batch
        for rows in parts
        for _ in range(recipe.epochs)
        for batch in batches(rows, recipe.batch_size, order)
    ]


def _evaluation_steps(steps: list[int], recipe: Recipe) -> set[int]:
    """The steps after which the validation loss is measured, evenly spread, the last among them."""
    # Few validation rows are of the kind that comes later, so their loss rises while it is learned: there it
    # is measured once, at the end, and chooses nothing.
    measured = range(1, recipe.evaluations + 1) if len(steps) == 1 else [recipe.evaluations]
    return {step for k in measured if (step := round(sum(steps) * k / recipe.evaluations))}


def _new_run() -> RunState:
    return {
        "step": 0,
        "n_tokens": 0,
        "skipped": 0,
        "losses": [],
        "best_loss": math.inf,
        "best_step": 0,
        "best_weights": None,
    }


def _progress_bar(label: str | None, first_step: int, n_steps: int) -> tqdm:
    return tqdm(
        total=n_steps,
        initial=first_step,
        desc=plain(label or ""),
        unit="step",
        disable=not shows(label or ""),
        mininterval=10,
    )


def _is_done(run: RunState, recipe: Recipe) -> bool:
    """Whether the validation loss has not gone down for as many measurements as the recipe waits."""
    measured = [losses["step"] for losses in run["losses"] if not math.isnan(losses["validation_loss"])]
    return (
        recipe.patience is not None and sum(step > run["best_step"] for step in measured) >= recipe.patience
    )


def _save_best(adapted: PeftModel, run: RunState, output: Path) -> None:
    """Write the adapter with the lowest validation loss, and the losses of all steps."""
    if run["best_weights"] is None:
        raise SafetuneError(
            "the validation loss was never a number: lower learning_rate or use precision fp32"
        )
    set_peft_model_state_dict(adapted, run["best_weights"])
    if run["skipped"] == run["step"]:
        raise SafetuneError(
            f"the gradient overflowed in fp16 at each of {run['step']} steps: use precision bf16 or fp32"
        )
    if is_zero(adapted):
        raise SafetuneError("the trained adapter is all zero: raise learning_rate or epochs")
    if distributed.rank() == 0:
        save_adapter(adapted, output)
        _write_losses(output / "losses.csv", run["losses"])


def _check_overflow(scaler: torch.amp.GradScaler, recipe: Recipe, step: int) -> None:
    """Raise where a gradient that is no number cannot be mended by a smaller scale of the loss."""
    if not scaler.is_enabled():
        raise SafetuneError(
            f"the gradient is not a number at step {step}: "
            f"lower learning_rate (now {recipe.learning_rate}) or use precision fp32"
        )
    if scaler.get_scale() < 1:
        raise SafetuneError(f"the gradient is too large for fp16 at step {step}: use precision bf16 or fp32")


def _facts(
    run: RunState,
    counts: RowCounts,
    *,
    validation: list[Row],
    weights: list[torch.nn.Parameter],
    first_step: int,
    speed: float,
    way: str,
) -> TrainingFacts:
    return {
        **counts,
        "validation_rows": len(validation),
        "steps": run["step"],
        "tokens": run["n_tokens"],
        "tokens_per_second": round(speed, 1),
        "resumed_at_step": first_step,
        "best_step": run["best_step"],
        "best_validation_loss": run["best_loss"],
        "last_train_loss": run["losses"][-1]["train_loss"],
        "trainable_parameters": sum(p.numel() for p in weights),
        "processes": distributed.world_size(),
        "loss_way": way,
        "skipped_steps": run["skipped"],
    }


def _write_losses(path: Path, losses: list[StepLosses]) -> None:
    lines = ["step,train_loss,validation_loss"]
    for entry in losses:
        measured = entry["validation_loss"]
        validation = "" if math.isnan(measured) else f"{measured:.6f}"
        lines.append(f"{entry['step']},{entry['train_loss']:.6f},{validation}")
    path.write_text("\n".join(lines) + "\n", "utf-8")
