"""Rows packed into one sequence, with what they share computed once.

Every row of a batch begins with the same words, those of the prompt template or of an instrument's question.
The model would compute them again for each row, a third of all tokens on short rows. Here rows that begin
alike form a group: their common beginning stands once, followed by what each row goes on with, and attention
lets every row see the beginning and itself. Hidden states and gradients are those of separate rows, up to
rounding.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from safetune_utils.models import proofs

ATTENTION = "shared_prefix"
# Architectures whose attention is plain (grouped heads, no window that our rows reach, nothing added to the
# scores) and that pass unknown arguments on to it; each is tested to give the same gradient as separate rows.
ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")
# What one more group costs, in tokens: its attention is one more call in every layer.
_COST_OF_A_GROUP = 16


@dataclass(frozen=True)
class Group:
    """``n_rows`` rows that share their first ``shared`` tokens; each goes on for ``width`` tokens, padding
    included.
    """

    shared: int
    n_rows: int
    width: int


@dataclass(frozen=True)
class Packed:
    """Rows as one sequence: group after group, in each the shared beginning and then the rows' own parts.

    ``ids`` and ``positions`` have shape ``(1, T)``; ``places[i][t]`` is where token t of row i stands in
    them.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    groups: list[Group]
    places: list[list[int]]


def pack(rows: list[list[int]], *, device: torch.device | str = "cpu") -> Packed:
    """Put the token ids of rows into one sequence, each common beginning once."""
    ids: list[int] = []
    positions: list[int] = []
    groups: list[Group] = []
    places: list[list[int]] = [[] for _ in rows]
    for members, shared in _alike(rows):
        beginning = list(range(len(ids), len(ids) + shared))
        ids += rows[members[0]][:shared]
        positions += range(shared)
        width = max(len(rows[i]) for i in members) - shared
        for i in members:
            own = rows[i][shared:]
            places[i] = beginning + list(range(len(ids), len(ids) + len(own)))
            ids += own + [0] * (width - len(own))
            positions += range(shared, shared + width)
        groups.append(Group(shared, len(members), width))
    return Packed(
        torch.tensor([ids], device=device), torch.tensor([positions], device=device), groups, places
    )


def _alike(rows: list[list[int]], members: list[int] | None = None) -> list[tuple[list[int], int]]:
    """Rows by their common beginning: for each group the rows' indices, and how many tokens they share.

    Each row has at least one token more than its group shares. A set of rows stays together, or is cut where
    its neighbours share least, whichever computes fewer tokens.
    """
    if members is None:
        members = sorted(range(len(rows)), key=rows.__getitem__)  # rows that begin alike become neighbours
    if len(members) == 1:
        return [(members, 0)]
    common = [n_common(rows[i], rows[j]) for i, j in pairwise(members)]
    shared = min(min(common), min(len(rows[i]) for i in members) - 1)
    cut = common.index(min(common)) + 1
    parts = _alike(rows, members[:cut]) + _alike(rows, members[cut:])
    saved_apart = sum(n * (len(group) - 1) for group, n in parts) - _COST_OF_A_GROUP * (len(parts) - 1)
    saved_together = shared * (len(members) - 1)
    return parts if saved_apart > saved_together else [(members, shared)]


def n_common(a: list[int], b: list[int]) -> int:
    """How many tokens two rows have in common before they differ."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def n_shared(rows: list[list[int]]) -> int:
    """How many tokens all rows begin with."""
    return min(n_common(rows[0], row) for row in rows)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    groups: list[Group] | None = None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention over a packed sequence, with the arguments that transformers calls an attention with.

    Called without groups, as by a model that is used in the ordinary way, it is the ordinary attention.

    Args:
        module: the attention layer.
        query: of shape ``(1, heads, T, d)``.
        key, value: of shape ``(1, key heads, T, d)``.
        attention_mask: used without groups only.
        groups: how the sequence is packed, from :func:`pack`.
        scaling: what the products of queries and keys are multiplied by; by default one over the root of d.
        **others: passed on to the ordinary attention.

    Returns:
        The result, of shape ``(1, T, heads, d)``, and ``None`` in place of the attention weights.
    """
    if groups is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **others)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    # One cut for all groups: its gradient is one concatenation, that of each slice a tensor of zeros.
    sizes = [size for group in groups for size in (group.shared, group.n_rows * group.width)]
    parts = zip(*(x[0].split(sizes, dim=1) for x in (query, key, value)), strict=True)
    outputs = []
    for group in groups:
        # The beginning has shape (1, heads, shared, d), the rows' own parts (rows, heads, width, d).
        shared_query, shared_key, shared_value = (x.unsqueeze(0) for x in next(parts))
        own_query, own_key, own_value = (
            x.unflatten(1, (group.n_rows, group.width)).transpose(0, 1) for x in next(parts)
        )
        if group.shared:
            outputs.append(_causal(shared_query, shared_key, shared_value, scaling)[0])
            own_key, own_value = (
                torch.cat([shared.expand(group.n_rows, -1, -1, -1), own], dim=2)
                for shared, own in ((shared_key, own_key), (shared_value, own_value))
            )
        outputs.append(_causal(own_query, own_key, own_value, scaling).transpose(0, 1).flatten(1, 2))
    return torch.cat(outputs, dim=1).transpose(0, 1).unsqueeze(0), None


def _causal(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
    """Attention where the last query sees all keys, the one before all but one, and so on.

    Queries have shape (rows, heads, width, d), keys and values (rows, key heads, keys, d), and the result the
    shape of the queries.
    """
    n_rows, heads, width, d = query.shape
    sees = torch.ones(width, key.shape[2], dtype=torch.bool, device=query.device).tril(key.shape[2] - width)
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=sees, scale=scaling, enable_gqa=True
        )
    # On a CPU plain products are faster backward, and query heads that share a key need no copies of it.
    grouped = (query * scaling).reshape(n_rows, key.shape[1], -1, d)
    scores = (grouped @ key.transpose(2, 3)).unflatten(2, (-1, width)).masked_fill(~sees, -torch.inf)
    return (scores.softmax(-1).flatten(2, 3) @ value).reshape(n_rows, heads, width, d)


def can_pack(model: PreTrainedModel) -> bool:
    """Whether a model's rows may be packed; if not, they are computed separately."""
    return model.config.model_type in ARCHITECTURES and model._can_set_attn_implementation()


def within_window(model: PreTrainedModel, rows: list[list[int]]) -> bool:
    """Whether no layer's attention ends before a row does: packed rows see all that stands before them."""
    window = getattr(model.config, "sliding_window", None)
    return window is None or max(map(len, rows)) <= window


def arranged(
    rows: list[list[int]], *, packed: bool, device: torch.device | str
) -> tuple[dict[str, Any], list[Sequence[int]]]:
    """What a model is called with to read rows: packed, or padded on the right.

    Args:
        rows: the token ids of each row.
        packed: whether they are put into one sequence; the model's attention must be :data:`ATTENTION`.
        device: of the model.

    Returns:
        The arguments; and for each row where its tokens stand in what comes out, seen as one sequence: row
        i's token t at ``places[i][t]``.
    """
    if packed:
        found = pack(rows, device=device)
        inputs = {"input_ids": found.ids, "position_ids": found.positions, "groups": found.groups}
        return inputs, list(found.places)
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
    places = [range(i * width, i * width + len(row)) for i, row in enumerate(rows)]
    return {"input_ids": ids, "attention_mask": mask}, list(places)


def hidden_states(
    decoder: PreTrainedModel, rows: list[list[int]]
) -> tuple[torch.Tensor, list[Sequence[int]]]:
    """What a decoder makes of rows, padded on the right.

    Args:
        decoder: a model without its vocabulary head, as from ``get_decoder()``.
        rows: the token ids of each row.

    Returns:
        The last hidden states, of shape ``(T, d)``; and for each row where its tokens stand in them: row i's
        token t at ``places[i][t]``.
    """
    inputs, places = arranged(rows, packed=False, device=decoder.device)
    return decoder(**inputs, use_cache=False).last_hidden_state.flatten(0, 1), places


def may_pad(decoder: PreTrainedModel) -> bool:
    """Whether rows that are padded on the right have the :func:`hidden_states` that they have alone."""
    ways = {"padded": lambda: _together_and_alone(decoder)}
    code = [sys.modules[__name__]]
    return proofs.proven(decoder, what="padding", ways=ways, plain="alone", code=code) == "padded"


@torch.inference_mode()
def _together_and_alone(decoder: PreTrainedModel) -> tuple[proofs.Numbers, proofs.Numbers]:
    """Hidden states of a few rows together, and those of each alone in a plain forward pass."""
    rows = [row for part in proofs.short_rows(decoder) for row in part]
    hidden, places = hidden_states(decoder, rows)
    alone = [
        decoder(input_ids=torch.tensor([row], device=decoder.device), use_cache=False).last_hidden_state[0]
        for row in rows
    ]
    found = torch.cat([hidden[list(place)] for place in places])
    return {"hidden states": found}, {"hidden states": torch.cat(alone)}


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
