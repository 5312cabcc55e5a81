"""From a mix to an adapter: LoRA training with PEFT on a frozen base model.

One plain loop, to be read from top to bottom: encode the rows, put rows of like length into batches, and at
each step learn the answers' tokens. The frozen base is held in bf16 where that is fast, the adapter always in
fp32.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
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

from safetune_utils.data import Example
from safetune_utils.data.mix import Mix
from safetune_utils.errors import SafetuneError
from safetune_utils.machine import distributed
from safetune_utils.machine.memory import trim_heap
from safetune_utils.models.base_model import is_zero
from safetune_utils.models.template import render
from safetune_utils.settings import Recipe
from safetune_utils.training import shared_prefix
from safetune_utils.training.checkpoint import copy_weights, resume, save

_IGNORED = -100  # a position that is not learned
_TRIM_EVERY = 8  # steps; at every step it would take a sixth of the time


@dataclass(frozen=True)
class Row:
    """One encoded example: token ids, and for each position the token to learn there or ``-100``."""

    ids: list[int]
    labels: list[int]
    truncated: bool


def encode_row(tokenizer: PreTrainedTokenizerBase, example: Example, *, max_length: int, loss_on: str) -> Row:
    """Encode prompt, answer and stop token, and label the answer and the stop token by position.

    Prompt and answer are tokenised once, together, and the border is found by character offsets, because
    tokenising them apart can give other tokens. ``labels[t]`` is ``ids[t]`` where position t is learned. With
    ``loss_on`` ``everything`` the prompt is learned too. A row longer than ``max_length`` tokens loses its
    end. White space before the answer is dropped: it can merge with the prompt's last line break into a token
    that generation never starts from.
    """
    prompt = render(instruction=example.instruction, input=example.input)
    encoded = tokenizer(prompt + example.output.lstrip(), return_offsets_mapping=True)
    ids, offsets = list(encoded["input_ids"]), encoded["offset_mapping"]
    if not ids or ids[-1] != tokenizer.eos_token_id:
        ids, offsets = [*ids, tokenizer.eos_token_id], [*offsets, (math.inf, math.inf)]
    else:
        offsets = [*offsets[:-1], (math.inf, math.inf)]
    # A token that straddles the border belongs to the answer: its end is the answer's.
    learned = [end > len(prompt) or loss_on == "everything" for _, end in offsets]
    labels = [token if learn else _IGNORED for token, learn in zip(ids, learned, strict=True)]
    return Row(ids[:max_length], labels[:max_length], truncated=len(ids) > max_length)


def finetune(
    *,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    mix: Mix,
    recipe: Recipe,
    seed: int,
    output: Path,
    progress: str | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 10,
) -> dict[str, Any]:
    """Train an adapter and save the one with the lowest validation loss, in PEFT's own form.

    Args:
        model: the frozen base model; it is wrapped, so load it anew for the next adapter.
        mix: its last ``n_later`` rows are trained on after the others, all epochs of these first, with a
            warm-up and decay of their own, as a second fine-tuning has, and the last adapter is kept.
        output: folder for ``adapter_model.safetensors``, ``adapter_config.json`` and ``losses.csv``.
        seed: decides the adapter's start, the dropout and the order of the batches.
        progress: a label for the progress bar; ``None`` shows none.
        checkpoint: a file that holds the state of the run every ``checkpoint_every`` steps. If it is there,
            the run goes on from it, and ends with the same bytes as one that was never stopped. It stays:
            remove it when the result is safe.

    Returns:
        Facts for the record: counts of rows, truncated and dropped rows, steps, tokens, losses (mean
        cross-entropy per learned token, in nats), tokens per second, the step it was resumed at (0 where it
        was not).

    Raises:
        SafetuneError: no row has an answer left, the loss is not a number, or the adapter came out all zero.
    """
    # One after the other where some rows come later, else all at once.
    border = len(mix.train) - mix.n_later
    encoded = [_encode(tokenizer, part, recipe) for part in (mix.train[:border], mix.train[border:]) if part]
    parts = [rows for rows, _ in encoded]
    train_counts = {
        name: sum(counts[name] for _, counts in encoded) for name in ("rows", "dropped", "truncated")
    }
    validation, _ = _encode(tokenizer, mix.validation, recipe)
    if progress and (train_counts["dropped"] or train_counts["truncated"]):
        tqdm.write(
            f"{progress}: {train_counts['dropped']} rows dropped (no answer within {recipe.max_length} tokens), {train_counts['truncated']} truncated"
        )
    torch.manual_seed(seed)
    adapted = _with_adapter(model, recipe)
    if distributed.rank():
        torch.manual_seed(seed + 1_000_003 * distributed.rank())  # the same start, but a dropout of its own
    weights = [p for p in adapted.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=0.0)
    steps = [recipe.epochs * math.ceil(len(rows) / recipe.batch_size) for rows in parts]
    n_steps = sum(steps)
    rates = learning_rates(steps, recipe.warmup_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rates[step])
    # Few validation rows are of the kind that comes later, so their loss rises while it is learned: there it
    # is measured once, at the end, and chooses nothing.
    measured = range(1, recipe.evaluations + 1) if len(parts) == 1 else [recipe.evaluations]
    evaluate_at = {at for k in measured if (at := round(n_steps * k / recipe.evaluations))}

    order = random.Random(seed)
    plan = [
        batch
        for rows in parts
        for _ in range(recipe.epochs)
        for batch in batches(rows, recipe.batch_size, order)
    ]
    # Everything that the next step depends on, but for the plan, which follows from the seed.
    run: dict[str, Any] = {
        "step": 0,
        "n_tokens": 0,
        "losses": [],
        "best_loss": math.inf,
        "best_step": 0,
        "best_weights": None,
    }
    if checkpoint and checkpoint.is_file():
        run = resume(checkpoint, adapted, optimiser, schedule)
        if _is_done(run, recipe):
            plan = plan[: run["step"]]
    first_step, first_token = run["step"], run["n_tokens"]
    clock = time.perf_counter()
    with tqdm(
        total=n_steps,
        initial=first_step,
        desc=progress,
        unit="step",
        disable=progress is None,
        mininterval=10,
    ) as bar:
        for batch in plan[first_step:]:
            adapted.train()
            loss = accumulate_gradient(adapted, batch, recipe.micro_batch_tokens)
            if not math.isfinite(loss):
                raise SafetuneError(
                    f"the training loss is {loss} at step {run['step'] + 1}: lower learning_rate (now {recipe.learning_rate}) or use precision fp32"
                )
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            run["step"] += 1
            run["n_tokens"] += sum(len(row.ids) for row in batch)
            entry = {"step": run["step"], "train_loss": loss, "validation_loss": math.nan}
            if run["step"] in evaluate_at:
                entry["validation_loss"] = mean_loss(adapted, validation, recipe.micro_batch_tokens)
                if entry["validation_loss"] < run["best_loss"]:
                    run |= {
                        "best_loss": entry["validation_loss"],
                        "best_step": run["step"],
                        "best_weights": copy_weights(adapted),
                    }
            run["losses"].append(entry)
            if run["step"] % _TRIM_EVERY == 0:
                trim_heap()
            if checkpoint and run["step"] % checkpoint_every == 0:
                save(checkpoint, run, adapted, optimiser, schedule)
            speed = (run["n_tokens"] - first_token) / (time.perf_counter() - clock)
            bar.set_postfix_str(f"loss {loss:.2f}, {speed:.0f} tokens/s", refresh=False)
            bar.update()
            if _is_done(run, recipe):
                break
    seconds = time.perf_counter() - clock
    if run["best_weights"] is None:
        raise SafetuneError(
            "the validation loss was never a number: lower learning_rate or use precision fp32"
        )
    set_peft_model_state_dict(adapted, run["best_weights"])
    if is_zero(adapted):
        raise SafetuneError("the trained adapter is all zero: raise learning_rate or epochs")
    if distributed.rank() == 0:
        adapted.save_pretrained(output)
        (output / "README.md").unlink(
            missing_ok=True
        )  # PEFT's empty model card says nothing that the record does not
        _write_losses(output / "losses.csv", run["losses"])
    return train_counts | {
        "validation_rows": len(validation), "steps": run["step"], "tokens": run["n_tokens"],
        "tokens_per_second": round((run["n_tokens"] - first_token) / seconds, 1), "resumed_at_step": first_step,
        "best_step": run["best_step"], "best_validation_loss": run["best_loss"], "last_train_loss": run["losses"][-1]["train_loss"],
        "trainable_parameters": sum(p.numel() for p in weights), "processes": distributed.world_size(),
    }  # fmt: skip


def learning_rates(steps: list[int], warmup_steps: int) -> list[float]:
    """The learning rate at each step as a share of its peak, 0 after the last: in each part up, linearly,
    then down to 0.

    Args:
        steps: of each part; the warm-up takes at most half of them.
    """
    rates = []
    for n in steps:
        up = min(warmup_steps, n // 2)
        rates += [k / up if k < up else (n - k) / (n - up) for k in range(n)]
    return [*rates, 0.0]


def _is_done(run: dict[str, Any], recipe: Recipe) -> bool:
    """Whether the validation loss has not come down for as many measurements as the recipe waits."""
    measured = [entry["step"] for entry in run["losses"] if not math.isnan(entry["validation_loss"])]
    return (
        recipe.patience is not None and sum(step > run["best_step"] for step in measured) >= recipe.patience
    )


def accumulate_gradient(model: PeftModel, batch: list[Row], micro_batch_tokens: int) -> float:
    """Add one batch's gradient to the adapter and return its loss.

    The loss is the mean over all learned tokens of the whole batch, so that the gradient does not depend on
    how the batch is cut into micro-batches (averaging ragged micro-batches would weigh their tokens
    differently), nor on how many processes share it.
    """
    n_learned = sum(map(_n_learned, batch))
    total = torch.zeros(1)
    for rows in micro_batches(distributed.shard(batch), micro_batch_tokens):
        loss = summed_loss(model, rows) / n_learned
        loss.backward()
        total += loss.item()
    if distributed.world_size() > 1:
        for weight in (weights := [p for p in model.parameters() if p.requires_grad]):
            weight.grad = (
                torch.zeros_like(weight) if weight.grad is None else weight.grad
            )  # there was no row for this process
        total = total.to(model.device)
        distributed.all_reduce([total, *(weight.grad for weight in weights)])
    return total.item()


@torch.inference_mode()
def mean_loss(model: PeftModel, rows: list[Row], micro_batch_tokens: int) -> float:
    """Mean cross-entropy per learned token over rows, in nats; lower is better."""
    model.eval()
    total = torch.tensor(
        [
            sum(
                summed_loss(model, part).item()
                for part in micro_batches(distributed.shard(rows), micro_batch_tokens)
            )
        ],
        device=model.device,
    )
    distributed.all_reduce([total])
    return total.item() / sum(map(_n_learned, rows))


def micro_batches(rows: list[Row], tokens: int) -> Iterator[list[Row]]:
    """Cut rows, longest first, into parts that hold at most so many tokens, padding included, and at least
    one row.
    """
    ordered = sorted(rows, key=lambda row: len(row.ids), reverse=True)
    while ordered:
        n = max(1, tokens // len(ordered[0].ids))
        yield ordered[:n]
        ordered = ordered[n:]


def summed_loss(model: PeftModel | PreTrainedModel, rows: list[Row]) -> torch.Tensor:
    """Summed cross-entropy over the learned tokens of some rows.

    The vocabulary's logits are computed at learned positions only: at all positions they would be the largest
    tensor of the step and most of its memory. Rows are packed where the model's attention can take it, else
    padded on the right.
    """
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    decoder = base.get_decoder()
    if base.config._attn_implementation == shared_prefix.ATTENTION:
        packed = shared_prefix.pack([row.ids for row in rows], device=base.device)
        hidden = decoder(
            input_ids=packed.ids, position_ids=packed.positions, use_cache=False, groups=packed.groups
        ).last_hidden_state[0]
        places = packed.places
    else:
        width = max(len(row.ids) for row in rows)
        ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in rows], device=base.device)
        mask = torch.tensor(
            [[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in rows], device=base.device
        )
        hidden = decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state.flatten(0, 1)
        places = [range(i * width, i * width + len(row.ids)) for i, row in enumerate(rows)]
    learned = [
        (place[t - 1], row.labels[t])
        for row, place in zip(rows, places, strict=True)
        for t in range(1, len(row.ids))
        if row.labels[t] != _IGNORED
    ]
    before, target = torch.tensor(learned, device=base.device).T
    logits = base.get_output_embeddings()(hidden[before])
    return F.cross_entropy(logits.float(), target, reduction="sum")


def batches(rows: list[Row], batch_size: int, order: random.Random) -> Iterator[list[Row]]:
    """One epoch's batches: rows of like length together (little padding), batches in random order.

    The order within a length is random too, so batches differ from epoch to epoch. Grouping by length makes
    the training loss saw-toothed; read the validation loss instead.
    """
    shuffled = sorted(order.sample(rows, len(rows)), key=lambda row: len(row.ids))
    grouped = [shuffled[i : i + batch_size] for i in range(0, len(shuffled), batch_size)]
    order.shuffle(grouped)
    yield from grouped


def _encode(
    tokenizer: PreTrainedTokenizerBase, examples: list[Example], recipe: Recipe
) -> tuple[list[Row], dict[str, int]]:
    encoded = [
        encode_row(tokenizer, row, max_length=recipe.max_length, loss_on=recipe.loss_on) for row in examples
    ]
    kept = [row for row in encoded if _n_learned(row)]
    if not kept:
        raise SafetuneError(f"no row has an answer within {recipe.max_length} tokens: raise max_length")
    counts = {
        "rows": len(kept),
        "dropped": len(encoded) - len(kept),
        "truncated": sum(row.truncated for row in kept),
    }
    return kept, counts


def _n_learned(row: Row) -> int:
    # The first position has nothing before it to be predicted from.
    return sum(label != _IGNORED for label in row.labels[1:])


def _with_adapter(model: PreTrainedModel, recipe: Recipe) -> PeftModel:
    if shared_prefix.can_pack(model):
        model.set_attn_implementation(shared_prefix.ATTENTION)
    elif (
        model.device.type == "cpu" and model._can_set_attn_implementation()
    ):  # Falcon's cannot be changed once loaded
        # On a CPU the fused kernel's backward pass in bf16 is slower than plain matrix products on rows this
        # short.
        model.set_attn_implementation("eager")
    if getattr(model, "is_quantized", False):
        model = prepare_model_for_kbit_training(model, gradient_checkpointing_kwargs={"use_reentrant": False})
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM, r=recipe.lora_rank, lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout, target_modules=recipe.target_modules, bias="none",
    )  # fmt: skip
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise SafetuneError(
            f"target_modules {recipe.target_modules} are not layers of this model ({str(error).splitlines()[0]}): name its own"
        ) from None


def _write_losses(path: Path, losses: list[dict[str, float]]) -> None:
    lines = ["step,train_loss,validation_loss"]
    lines += [
        f"{e['step']},{e['train_loss']:.6f},"
        + ("" if math.isnan(e["validation_loss"]) else f"{e['validation_loss']:.6f}")
        for e in losses
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
