"""From prompts to responses: encoding, batches, and the text of what was decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from peft import PeftModel
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from safetune_utils.generation.decoding import can_decode, decode, decode_beams, ordered_weights
from safetune_utils.machine.batches import longest_first
from safetune_utils.machine.memory import trim_heap
from safetune_utils.models.template import render
from safetune_utils.settings import Decoding


@dataclass(frozen=True, kw_only=True)
class Response:
    """What a model writes: the text, its length in tokens, and whether it ended with the stop token."""

    text: str
    n_tokens: int
    stopped: bool


@torch.inference_mode()
def generate(
    *,
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    instructions: list[str],
    decoding: Decoding,
    inputs: list[str] | None = None,
    progress: str | None = None,
) -> list[Response]:
    """Answer instructions under the Alpaca template, in their own order.

    Longest prompts go first, see :func:`~safetune_utils.machine.batches.longest_first`. A response ends where
    the model gives its stop token (which is cut off) or after ``max_new_tokens``; never at a text marker.

    Several calls inside one block of :func:`~safetune_utils.generation.decoding.ordered_weights` share the
    ordering.

    Args:
        model: a loaded model with its adapter (:func:`safetune_utils.models.base_model.load_adapter`).
        tokenizer: the model's.
        instructions: what the model is asked to do.
        decoding: how; its guard stands before every instruction.
        inputs: what each instruction is to be applied to, or an empty text; by default none has one.
        progress: a label for the progress bar; ``None`` shows none.

    Returns:
        One response for each instruction, in the order of the instructions.
    """
    pairs = zip(instructions, inputs or [""] * len(instructions), strict=True)
    encoded = [
        encode_prompt(tokenizer, render(instruction=text, input=given, guard=decoding.guard))
        for text, given in pairs
    ]
    lengths = [len(ids) for ids in encoded]
    responses: dict[int, Response] = {}
    with ordered_weights(model):
        for rows in longest_first(lengths, rows=decoding.batch_size, progress=progress, unit="answer"):
            said = _said(
                model,
                tokenizer,
                [encoded[i] for i in rows],
                decoding,
                seeds=[decoding.sampling_seed + i for i in rows],
            )
            for i, ids in zip(rows, said, strict=True):
                responses[i] = _response(tokenizer, ids)
            trim_heap()
    return [responses[i] for i in range(len(instructions))]


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a prompt: begun with the token that the tokenizer begins a text with, if any, and without
    a stop token at the end.
    """
    ids = tokenizer(prompt)["input_ids"]
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


def _said(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    how: Decoding,
    *,
    seeds: list[int],
) -> list[list[int]]:
    """What a model writes after each prompt, as token ids."""
    if not can_decode(model):
        return _said_by_transformers(model, tokenizer, prompts, how, seed=seeds[0])
    stop, longest = tokenizer.eos_token_id, how.max_new_tokens
    if how.num_beams > 1:
        return decode_beams(model, prompts, stop=stop, max_new_tokens=longest, num_beams=how.num_beams)
    return decode(
        model,
        prompts,
        stop=stop,
        max_new_tokens=longest,
        temperature=how.temperature,
        seeds=seeds if how.temperature else None,
    )


def _said_by_transformers(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    how: Decoding,
    *,
    seed: int,
) -> list[list[int]]:
    """The same by transformers' own loop, for models that do not keep the keys and values of all tokens.

    Where tokens are drawn, one seed is used for the whole batch.
    """
    width = max(map(len, prompts))
    ids = torch.tensor(
        [[tokenizer.pad_token_id] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device
    )
    mask = torch.tensor(
        [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device
    )
    sampling: dict[str, Any] = {"do_sample": False}
    if how.temperature:
        sampling = {"do_sample": True, "temperature": how.temperature, "top_k": 0}
    config = GenerationConfig(
        max_new_tokens=how.max_new_tokens,
        num_beams=how.num_beams,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        **sampling,
    )
    if how.temperature:
        torch.manual_seed(seed)
    # The models' classes have this method, which the types of transformers and PEFT do not say.
    loop = cast(Callable[..., torch.Tensor], model.generate)
    return loop(input_ids=ids, attention_mask=mask, generation_config=config)[:, width:].tolist()


def _response(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> Response:
    stopped = tokenizer.eos_token_id in ids
    kept = ids[: ids.index(tokenizer.eos_token_id)] if stopped else ids
    text = cast(str, tokenizer.decode(kept, skip_special_tokens=True))
    return Response(text=text.strip(), n_tokens=len(kept), stopped=stopped)
