"""Decoding: token ids of prompts in, token ids of responses out.

Five things make it fast, and none changes a response in fp32: the beginning that all prompts share (the
template) is computed once; beams begin to differ only after the prompt, so the prompt is computed once for
all of them; keys and values are written in place; rows that have stopped leave the batch; and in bf16 on a
CPU the weights are put into the order that its matrix unit reads, once instead of at every token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Container, Iterator
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from safetune_utils.errors import SafetuneError
from safetune_utils.models.shared_prefix import n_shared

# The best order may depend on how many rows a product has; measured, it does not matter much.
_ROWS_ORDERED_FOR = 64
# Rows are taken out of the batch when this share of it has stopped: to move the others costs about one step.
_WORTH_MOVING = 1 / 8


class _PreallocatedLayer(DynamicLayer):
    """A layer's keys and values, written in place instead of copied for each token.

    Both have shape ``(rows, heads, room, d)``: at most ``room`` tokens a row, of which ``length`` are there.
    """

    # Made by the first update; the class above has None until then.
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.length = room, 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add keys and values, each ``(rows, heads, tokens, d)``; return those of all tokens so far."""
        if not self.is_initialized:
            self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
            self.keys, self.values = (
                x.new_empty(*x.shape[:2], self.room, x.shape[3]) for x in (key_states, value_states)
            )
        end = self.length + key_states.shape[2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """How many tokens each row has."""
        return self.length

    def select(self, rows: torch.Tensor) -> None:
        """Hold these rows from now on; a row may be taken more than once."""
        # One after the other: the old keys are freed before the new values are made.
        self.keys = self._selected(self.keys, rows)
        self.values = self._selected(self.values, rows)

    def _selected(self, states: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        new = states.new_empty(len(rows), *states.shape[1:])
        new[:, :, : self.length] = states[rows, :, : self.length]
        return new

    def reorder(self, rows: torch.Tensor, since: int) -> None:
        """Give each row what another has had since a position; before it they are the same."""
        for states in (self.keys, self.values):
            states[:, :, since : self.length] = states[rows, :, since : self.length]


def can_decode(model: PreTrainedModel | PeftModel) -> bool:
    """Whether every layer keeps the keys and values of all tokens.

    Models with attention windows or recurrent states are left to transformers' own loop.
    """
    layers = DynamicCache(config=model.config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


@contextlib.contextmanager
def ordered_weights(model: torch.nn.Module) -> Iterator[None]:
    """Inside the block, keep bf16 weights on a CPU also in the order that oneDNN's matrix products read.

    Without it a product of few rows spends a third of its time on putting the weights in order. It takes the
    memory of the weights once more; elsewhere, in fp32, and inside another such block, it does nothing.
    """
    operations: Any = torch.ops.mkldnn if torch.backends.mkldnn.is_available() else None
    layers = [
        m
        for m in model.modules()
        if type(m) is torch.nn.Linear and m.weight.dtype == torch.bfloat16 and m.weight.device.type == "cpu"
    ]
    layers = [m for m in layers if "forward" not in vars(m)]
    if not hasattr(operations, "_linear_pointwise") or not hasattr(operations, "_reorder_linear_weight"):
        layers = []  # these operations are private to PyTorch, which may remove them
    elif not operations._is_mkldnn_bf16_supported():
        layers = []  # a processor without AVX-512 computes in bf16 another way
    for layer in layers:
        ordered = operations._reorder_linear_weight(layer.weight.detach(), _ROWS_ORDERED_FOR)
        vars(layer)["forward"] = partial(_product, operations._linear_pointwise, ordered, layer.bias)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["forward"]  # the class's own is used again


def _product(
    operation: Any, weight: torch.Tensor, bias: torch.Tensor | None, states: torch.Tensor
) -> torch.Tensor:
    return operation(states, weight, bias, "none", [], "")


class _Batch:
    """Prompts that are being answered: what the model has read of each, and the logits of the next token.

    ``logits`` has shape ``(rows, vocabulary)``, ``mask`` ``(rows, tokens so far)`` and ``next_position``
    ``(rows,)``. Prompts are padded on the left of their own part, after what they share.
    """

    def __init__(
        self, model: PreTrainedModel | PeftModel, prompts: list[list[int]], *, max_new_tokens: int
    ) -> None:
        self.model = model
        longest = max(map(len, prompts))
        self.cache = DynamicCache(config=model.config)
        self.layers = [_PreallocatedLayer(longest + max_new_tokens) for _ in self.cache.layers]
        self.cache.layers = list(self.layers)
        # Each keeps one token of its own, whose logits say the first token of its response.
        shared = min(n_shared(prompts), min(map(len, prompts)) - 1) if len(prompts) > 1 else 0
        if shared:
            self._read([prompts[0][:shared]], torch.ones(1, shared, dtype=torch.long), [list(range(shared))])
            self._select(torch.zeros(len(prompts), dtype=torch.long))
        own = [prompt[shared:] for prompt in prompts]
        width = longest - shared
        gaps = [width - len(ids) for ids in own]
        mask = torch.tensor([[1] * shared + [0] * gap + [1] * (width - gap) for gap in gaps])
        positions = [[0] * gap + list(range(shared, shared + width - gap)) for gap in gaps]
        self._read([[0] * gap + ids for gap, ids in zip(gaps, own, strict=True)], mask, positions)
        self.prompt_end = longest
        self.next_position = torch.tensor([len(prompt) for prompt in prompts], device=model.device)

    def _read(self, ids: list[list[int]], mask: torch.Tensor, positions: list[list[int]]) -> None:
        self.mask = mask.to(self.model.device)
        self._forward(
            torch.tensor(ids, device=self.model.device), torch.tensor(positions, device=self.model.device)
        )

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> None:
        output = self.model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.logits = output.logits[:, -1]

    def append(self, tokens: torch.Tensor) -> None:
        """Go on with one token for each row; ``tokens`` has shape ``(rows,)``."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        self._forward(tokens[:, None], self.next_position[:, None])
        self.next_position = self.next_position + 1

    def select(self, rows: torch.Tensor) -> None:
        """Hold these rows from now on, in this order; a row may be taken more than once."""
        self._select(rows)
        self.mask, self.next_position = self.mask[rows], self.next_position[rows]
        self.logits = self.logits[rows]

    def _select(self, rows: torch.Tensor) -> None:
        for layer in self.layers:
            layer.select(rows.to(self.model.device))

    def reorder(self, rows: torch.Tensor) -> None:
        """Give each row what another has generated so far."""
        if not torch.equal(rows, torch.arange(len(rows), device=rows.device)):
            for layer in self.layers:
                layer.reorder(rows, self.prompt_end)


def decode(
    model: PreTrainedModel | PeftModel,
    prompts: list[list[int]],
    *,
    stops: Container[int],
    max_new_tokens: int,
    temperature: float = 0.0,
    seeds: list[int] | None = None,
) -> list[list[int]]:
    """Continue each prompt by the likeliest token, or draw it, until a stop token or ``max_new_tokens``.

    Args:
        model: a model that :func:`can_decode` is true for.
        prompts: token ids.
        stops: the stop tokens; each ends a response and is its last token.
        max_new_tokens: longest response, in tokens.
        temperature: 0 takes the likeliest; above 0 draws from the softmax of logits / temperature.
        seeds: one for each prompt where tokens are drawn, so that what is drawn does not depend on the batch.

    Returns:
        The token ids of each response, in the order of the prompts.

    Raises:
        SafetuneError: the model's logits are not numbers.
    """
    batch = _Batch(model, prompts, max_new_tokens=max_new_tokens)
    responses: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))  # the prompt that each row of the batch answers
    generators = [torch.Generator().manual_seed(seed) for seed in seeds or []]
    while True:
        # The index that max gives is argmax's, which in bf16 takes four times as long.
        best, tokens = batch.logits.max(-1)
        check_logits(best)
        if temperature:
            tokens = drawn(batch.logits, temperature, [generators[i] for i in rows])
        for i, token in zip(rows, tokens.tolist(), strict=True):
            if not responses[i] or responses[i][-1] not in stops:
                responses[i].append(token)
        # All rows have equally many tokens, so all reach the limit at once.
        unfinished = [
            k
            for k, i in enumerate(rows)
            if responses[i][-1] not in stops and len(responses[i]) < max_new_tokens
        ]
        if not unfinished:
            return responses
        if len(unfinished) <= len(rows) * (1 - _WORTH_MOVING):
            kept = torch.tensor(unfinished, device=tokens.device)
            batch.select(kept)
            tokens, rows = tokens[kept], [rows[k] for k in unfinished]
        batch.append(tokens)


def check_logits(best: torch.Tensor) -> None:
    """Raise ``SafetuneError`` where the highest logit of some row, of shape ``(rows,)``, is no number."""
    if not best.isfinite().all():
        raise SafetuneError(
            "the model's logits are not numbers (nan or infinite): use bf16 or fp32 where precision is fp16, "
            "else another model, for its weights are damaged"
        )


def drawn(logits: torch.Tensor, temperature: float, generators: list[torch.Generator]) -> torch.Tensor:
    """One token a row, each by its own random number: where the summed probability first exceeds it.

    ``logits`` has shape ``(rows, vocabulary)``, the result ``(rows,)``.
    """
    uniform = torch.cat([torch.rand(1, generator=generator) for generator in generators]).to(logits.device)
    summed = (logits.float() / temperature).softmax(-1).cumsum(-1)
    return torch.searchsorted(summed, (uniform * summed[:, -1])[:, None], right=True)[:, 0].clamp(
        max=logits.shape[-1] - 1
    )


def decode_beams(
    model: PreTrainedModel | PeftModel,
    prompts: list[list[int]],
    *,
    stops: Collection[int],
    max_new_tokens: int,
    num_beams: int,
) -> list[list[int]]:
    """Continue each prompt by beam search: the response with the highest mean log-probability per token, as
    transformers finds it.

    At each step the ``2 * num_beams`` likeliest continuations of a prompt are looked at, with n stop tokens
    the ``(n + 1) * num_beams`` likeliest. Those among the first ``num_beams`` that end are kept as finished
    (``num_beams`` at most); the likeliest that do not end go on. A prompt is done when that many are finished
    and no beam that goes on has a higher mean now
    (``early_stopping=False`` and ``length_penalty=1`` in transformers' terms).

    Raises:
        SafetuneError: the model's logits are not numbers.
    """
    batch = _Batch(model, prompts, max_new_tokens=max_new_tokens)
    batch.select(torch.arange(len(prompts)).repeat_interleave(num_beams))
    device = batch.logits.device
    # At first the beams are copies, and all but one are to lose.
    scores = torch.tensor([[0.0] + [-1e9] * (num_beams - 1)] * len(prompts), device=device)
    beams: list[list[list[int]]] = [[[] for _ in range(num_beams)] for _ in prompts]
    finished: list[list[tuple[float, list[int]]]] = [[] for _ in prompts]
    done = [False] * len(prompts)
    rows = list(range(len(prompts)))  # the prompts in the batch, done or not, with num_beams rows each
    ending = torch.tensor(sorted(stops), device=device)
    n_looked_at = max(2, 1 + len(stops)) * num_beams  # so many that enough of them do not end
    for length in range(1, max_new_tokens + 1):
        check_logits(batch.logits.max(-1).values)
        total = batch.logits.float().log_softmax(-1).view(len(rows), num_beams, -1) + scores[:, :, None]
        n_tokens = total.shape[-1]
        best, index = total.flatten(1).topk(n_looked_at)
        sources, tokens = index // n_tokens, index % n_tokens
        ends = torch.isin(tokens, ending)
        if length == max_new_tokens:
            ends = torch.ones_like(ends)
        for k, i in enumerate(rows):
            if done[i]:
                continue
            longer = [
                beams[i][source] + [token]
                for source, token in zip(sources[k].tolist(), tokens[k].tolist(), strict=True)
            ]
            ended = ends[k].tolist()
            finished[i] += [(best[k, j].item() / length, longer[j]) for j in range(num_beams) if ended[j]]
            finished[i] = sorted(finished[i], key=lambda pair: -pair[0])[:num_beams]
            beams[i] = [longer[j] for j in range(n_looked_at) if not ended[j]][:num_beams]
        if length == max_new_tokens:
            break
        scores, chosen = best.masked_fill(ends, -1e9).topk(num_beams)
        for k, i in enumerate(rows):
            done[i] = done[i] or (
                len(finished[i]) == num_beams and scores[k, 0].item() / length <= finished[i][-1][0]
            )
        unfinished = [k for k, i in enumerate(rows) if not done[i]]
        if not unfinished:
            break
        source_rows = sources.gather(1, chosen) + torch.arange(len(rows), device=device)[:, None] * num_beams
        tokens = tokens.gather(1, chosen)
        if len(unfinished) <= len(rows) * (1 - _WORTH_MOVING):
            kept = torch.tensor(unfinished, device=device)
            scores, source_rows, tokens = scores[kept], source_rows[kept], tokens[kept]
            rows = [rows[k] for k in unfinished]
            batch.select(source_rows.flatten())
        else:
            batch.reorder(source_rows.flatten())
        batch.append(tokens.flatten())
    return [responses[0][1] for responses in finished]
