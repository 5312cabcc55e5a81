"""From prompts to responses: encoding, batches, and the text of what was decoded.

Prompts are answered in the first of three ways that proves itself with a model
(:mod:`safetune_utils.models.proofs`): by the loop of :mod:`safetune_utils.generation.decoding`, by
transformers' own, or by that one prompt at a time.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, cast

import torch
from peft import PeftModel
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from safetune_utils.errors import SafetuneError, first_line
from safetune_utils.generation import decoding as own
from safetune_utils.generation.decoding import ordered_weights
from safetune_utils.machine.batches import computed
from safetune_utils.machine.memory import trim_heap
from safetune_utils.models import proofs, shared_prefix
from safetune_utils.models.proofs import base_of
from safetune_utils.models.template import ALPACA, encode_prompt, end_token, prompt_text
from safetune_utils.settings import Decoding

OWN, TOGETHER, ALONE = "own loop", "transformers", "transformers, one prompt at a time"


class Response(NamedTuple):
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
    template: str = ALPACA,
    progress: str | None = None,
) -> list[Response]:
    """Answer instructions, in their own order.

    What the model's own generation config says of sampling and penalties plays no part; its stop tokens do.

    Longest prompts go first, see :func:`~safetune_utils.machine.batches.computed`. A response ends where
    the model gives a stop token (which is cut off) or after ``max_new_tokens``; never at a text marker.

    Several calls inside one block of :func:`~safetune_utils.generation.decoding.ordered_weights` share the
    ordering.

    Args:
        model: a loaded model with its adapter (:func:`safetune_utils.models.adapters.load_adapter`).
        tokenizer: the model's.
        instructions: what the model is asked to do.
        decoding: how; its guard stands before every instruction.
        inputs: what each instruction is to be applied to, or an empty text; by default none has one.
        template: ``alpaca``, or ``chat``, the tokenizer's own form.
        progress: a label for the progress bar; ``None`` shows none.

    Returns:
        One response for each instruction, in the order of the instructions.
    """
    pairs = zip(instructions, inputs or [""] * len(instructions), strict=True)
    texts = [
        prompt_text(tokenizer, instruction=text, input=given, guard=decoding.guard, template=template)
        for text, given in pairs
    ]
    encoded = [encode_prompt(tokenizer, text, template=template) for text in texts]
    lengths = [len(ids) for ids in encoded]
    seeds = _seeds(encoded, decoding.sampling_seed)
    stops = stop_tokens(model, tokenizer, template=template)
    way = proven_way(model, tokenizer, num_beams=decoding.num_beams)

    def answer(rows: list[int]) -> list[Response]:
        said = _said(
            model,
            tokenizer,
            [encoded[i] for i in rows],
            decoding,
            way=way,
            stops=stops,
            seeds=[seeds[i] for i in rows],
        )
        trim_heap()
        return [_response(tokenizer, ids, stops) for ids in said]

    with ordered_weights(model):
        found = computed(answer, lengths, rows=decoding.batch_size, progress=progress, unit="answer")
    return [Response(*one) for one in found]


def stop_tokens(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, *, template: str = ALPACA
) -> list[int]:
    """The tokens that end a response: the tokenizer's, all that the model's generation config names, and in a
    chat the one that ends a message.
    """
    named = base_of(model).generation_config.eos_token_id
    named = named if isinstance(named, list) else [named]
    ends = (tokenizer.eos_token_id, end_token(tokenizer, template=template), *named)
    return sorted({token for token in ends if token is not None})


def _seeds(prompts: list[list[int]], seed: int) -> list[int]:
    """A seed for what is drawn after each prompt, which depends on the prompt and on how often it stood
    before, and on no other prompt.
    """
    before: Counter[str] = Counter()
    seeds = []
    for prompt in prompts:
        text = f"{seed}: {prompt}"
        seeds.append(int(hashlib.sha256(f"{before[text]} {text}".encode()).hexdigest()[:15], 16))
        before[text] += 1
    return seeds


def _said(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    how: Decoding,
    *,
    way: str,
    stops: list[int],
    seeds: list[int],
) -> list[list[int]]:
    """What a model writes after each prompt, as token ids."""
    longest = how.max_new_tokens
    if way == ALONE and len(prompts) > 1:
        return [
            _by_transformers(model, tokenizer, [prompt], how, stops=stops, seeds=[seed])[0]
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
    if way != OWN:
        return _by_transformers(model, tokenizer, prompts, how, stops=stops, seeds=seeds)
    if how.num_beams > 1:
        return own.decode_beams(model, prompts, stops=stops, max_new_tokens=longest, num_beams=how.num_beams)
    return own.decode(
        model,
        prompts,
        stops=stops,
        max_new_tokens=longest,
        temperature=how.temperature,
        seeds=seeds if how.temperature else None,
    )


class _Chosen(LogitsProcessor):
    """Looks at logits before transformers' loop chooses a token, and leaves it one where tokens are drawn."""

    def __init__(self, temperature: float, seeds: list[int]) -> None:
        self.temperature = temperature
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        own.check_logits(scores.max(-1).values)
        if not self.temperature:
            return scores
        tokens = own.drawn(scores, self.temperature, self.generators)
        kept = torch.full_like(scores, -torch.inf).scatter(1, tokens[:, None], 0.0)
        return cast(torch.FloatTensor, kept)


def _by_transformers(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    how: Decoding,
    *,
    stops: list[int],
    seeds: list[int],
) -> list[list[int]]:
    """The same by transformers' own loop."""
    width, pad = max(map(len, prompts)), tokenizer.pad_token_id or 0
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
    mask = torch.tensor(
        [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device
    )
    config = GenerationConfig(
        max_new_tokens=how.max_new_tokens,
        num_beams=how.num_beams,
        do_sample=False,
        pad_token_id=pad,
        eos_token_id=stops or None,
        bos_token_id=tokenizer.bos_token_id,
    )
    # The models' classes have this method, which the types of transformers and PEFT do not say.
    loop = cast(Callable[..., torch.Tensor], model.generate)
    with _generation_config(base_of(model), config):
        try:
            said = loop(
                input_ids=ids,
                attention_mask=mask,
                generation_config=config,
                logits_processor=LogitsProcessorList([_Chosen(how.temperature, seeds)]),
            )
        except ValueError as error:  # what transformers' loop does not do with this architecture
            raise SafetuneError(
                f"transformers cannot answer so with this model ({first_line(error)}): "
                + ("set num_beams to 1" if how.num_beams > 1 else "choose another base_model")
            ) from None
    return said[:, width:].tolist()


@contextlib.contextmanager
def _generation_config(model: PreTrainedModel, config: GenerationConfig) -> Iterator[None]:
    """Put a generation config in the place of the model's: what one leaves open is taken from the other."""
    own_config, model.generation_config = model.generation_config, config
    try:
        yield
    finally:
        model.generation_config = own_config


def _response(tokenizer: PreTrainedTokenizerBase, ids: list[int], stops: list[int]) -> Response:
    end = next((n for n, token in enumerate(ids) if token in stops), len(ids))
    text = cast(str, tokenizer.decode(ids[:end], skip_special_tokens=True))
    return Response(text=text.strip(), n_tokens=end, stopped=end < len(ids))


@torch.inference_mode()
def proven_way(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, *, num_beams: int = 1
) -> str:
    """The fastest way whose logits, or whose beams, are those of the model's plain forward pass.

    A way of beams is one whose logits are right, too. Call it outside of a block of
    :func:`~safetune_utils.generation.decoding.ordered_weights`, so that these are compared as well.
    """
    how = Decoding(num_beams=num_beams, max_new_tokens=6)
    batches = proofs.short_rows(model)

    def answered(prompts: list[list[int]], way: str) -> list[list[int]]:
        with ordered_weights(model):
            return _said(model, tokenizer, prompts, how, way=way, stops=[], seeds=[0] * len(prompts))

    def logits(way: str) -> tuple[proofs.Numbers, proofs.Numbers]:
        found: list[torch.Tensor] = []
        expected: list[torch.Tensor] = []
        for prompts in batches:
            seen: list[torch.Tensor] = []
            hook = base_of(model).register_forward_hook(lambda _, __, out: seen.append(out.logits[:, -1]))  # noqa: B023
            try:
                said = answered(prompts, way)
            finally:
                hook.remove()
            # Before the first token the common beginning may have been read by itself.
            found += torch.stack(seen[-how.max_new_tokens :], dim=1)
            expected += [_logits_after(model, p, s) for p, s in zip(prompts, said, strict=True)]
        return {"logits": torch.cat(found)}, {"logits": torch.cat(expected)}

    def likelihoods(way: str) -> tuple[proofs.Numbers, proofs.Numbers]:
        found, expected = (
            torch.stack(
                [
                    _likelihood(model, p, s)
                    for prompts in batches
                    for p, s in zip(prompts, answered(prompts, one), strict=True)
                ]
            )
            for one in (way, ALONE)
        )
        return {"likelihood": found}, {"likelihood": expected}

    compute = logits if num_beams == 1 else likelihoods
    fast = [OWN, TOGETHER] if own.can_decode(model) else [TOGETHER]
    if num_beams > 1:  # no way whose logits are wrong
        greedy = proven_way(model, tokenizer)
        fast = fast[fast.index(greedy) :] if greedy in fast else []
    return proofs.proven(
        model,
        what="greedy" if num_beams == 1 else f"{num_beams}-beams",
        ways={way: partial(compute, way) for way in fast},
        plain=ALONE,
        code=[sys.modules[__name__], own, shared_prefix],
    )


def _logits_after(model: PreTrainedModel | PeftModel, prompt: list[int], said: list[int]) -> torch.Tensor:
    """The logits that each token of a response was chosen by, in one plain forward pass; of shape
    ``(tokens, vocabulary)``.
    """
    ids = torch.tensor([prompt + said], device=model.device)
    return base_of(model)(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]


def _likelihood(model: PreTrainedModel | PeftModel, prompt: list[int], said: list[int]) -> torch.Tensor:
    """The mean log-probability of a response's tokens, as a tensor of no dimension."""
    logarithms = _logits_after(model, prompt, said).float().log_softmax(-1)
    return logarithms[range(len(said)), said].mean()
