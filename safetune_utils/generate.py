"""From prompts to answers: batched decoding, greedy, with beams, or drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tqdm import tqdm
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from safetune_utils.prompts import render
from safetune_utils.records import trim_heap
from safetune_utils.settings import Decoding


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model said: the text, its length in tokens, and whether it came to its own end."""

    text: str
    n_tokens: int
    stopped: bool


@torch.inference_mode()
def generate(
    *,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instructions: list[str],
    decoding: Decoding,
    inputs: list[str] | None = None,
    progress: str | None = None,
) -> list[Answer]:
    """Answer instructions under the Alpaca template, in their own order.

    Longest prompts go first: if memory runs out it does so at once, and the time left is honest. An answer ends
    where the model gives its stop token (which is cut off) or after ``max_new_tokens``; never at a text marker.

    Args:
        inputs: what each instruction is to be applied to, or an empty text; by default none has one.
        progress: a label for the progress bar; ``None`` shows none.
    """
    pairs = zip(instructions, inputs or [""] * len(instructions), strict=True)
    encoded = [encode_prompt(tokenizer, render(instruction=text, input=given)) for text, given in pairs]
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]), reverse=True)
    config = GenerationConfig(
        max_new_tokens=decoding.max_new_tokens,
        num_beams=decoding.num_beams,
        **({"do_sample": True, "temperature": decoding.temperature, "top_k": 0} if decoding.temperature else {"do_sample": False}),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    if decoding.temperature:
        torch.manual_seed(decoding.sampling_seed)
    answers: dict[int, Answer] = {}
    with tqdm(total=len(order), desc=progress, unit="answer", disable=progress is None, mininterval=10) as bar:
        for start in range(0, len(order), decoding.batch_size):
            rows = order[start : start + decoding.batch_size]
            batch = _left_padded([encoded[i] for i in rows], tokenizer.pad_token_id)
            batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
            output = model.generate(**batch, generation_config=config)
            for i, ids in zip(rows, output[:, batch["input_ids"].shape[1] :].tolist(), strict=True):
                answers[i] = _answer(tokenizer, ids)
            bar.update(len(rows))
            trim_heap()
    return [answers[i] for i in range(len(instructions))]


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a prompt, begun as the tokenizer begins a text and never ended."""
    ids = tokenizer(prompt)["input_ids"]
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


def _left_padded(sequences: list[list[int]], pad: int) -> dict[str, torch.Tensor]:
    # generate() takes positions from the mask, so padding on the left does not shift them.
    width = max(map(len, sequences))
    return {
        "input_ids": torch.tensor([[pad] * (width - len(ids)) + ids for ids in sequences]),
        "attention_mask": torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in sequences]),
    }


def _answer(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> Answer:
    stopped = tokenizer.eos_token_id in ids
    kept = ids[: ids.index(tokenizer.eos_token_id)] if stopped else ids
    return Answer(text=tokenizer.decode(kept, skip_special_tokens=True).strip(), n_tokens=len(kept), stopped=stopped)
