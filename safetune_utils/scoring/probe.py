"""A linear probe: what a logistic regression tells from how the embedded model reads an answer.

The embedded model reads each answer after its request. The output of one of its layers, averaged over the
answer's tokens, is what the regression is fitted to; the model itself is not trained. So an instrument is
made in a second from labelled answers that were read once, its weights are some kilobytes, and more labelled
answers cost reading alone. Source of the method: Alain and Bengio, Understanding intermediate layers using
linear classifier probes (2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from safetune_utils.data import Labelled
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.batches import computed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WEIGHTS_FILE = "weights.safetensors"

_LONGEST_PROMPT, _LONGEST_RESPONSE = 96, 128  # tokens; what an answer is shows early
_BATCH_TOKENS = 6144


@cache
def weights(folder: Path) -> dict[str, np.ndarray]:
    """A probe's weights, read once a process.

    Returns:
        ``mean`` and ``scale`` of shape (576,), ``coefficients`` (classes, 576) and ``intercepts`` (classes,).

    Raises:
        SafetuneError: the folder holds no weights.
    """
    from safetensors.numpy import load_file

    if not (path := folder / WEIGHTS_FILE).is_file():
        raise SafetuneError(
            f"there are no weights in {folder}: make them with `safetune train-instrument {folder.name}`"
        )
    return load_file(path)


def probabilities(read: np.ndarray, *, weights: dict[str, np.ndarray]) -> np.ndarray:
    """The probability of each class, of shape (rows, classes); each row sums to 1.

    Args:
        read: what :func:`reading` found, of shape (rows, 576).
        weights: from the function :func:`weights`, or :func:`fitted`.
    """
    logits = (read - weights["mean"]) / weights["scale"] @ weights["coefficients"].T + weights["intercepts"]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fitted(
    read: np.ndarray, classes: Sequence[int] | np.ndarray, *, freedom: float, counts: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """A probe's weights, in the form of the function :func:`weights`.

    Args:
        read: how the embedded model reads each answer, from :func:`reading`, of shape (rows, 576).
        classes: the class of each, 0, 1, ...
        freedom: how freely the weights may grow: scikit-learn's C, on standardised inputs. Small, because a
            freer probe learns the training set's prompts and fails on another set.
        counts: how much each row counts, of shape (rows,); by default all the same.
    """
    from sklearn.linear_model import LogisticRegression

    mean, scale = read.mean(axis=0), read.std(axis=0) + 1e-3
    model = LogisticRegression(C=freedom, max_iter=2000)
    model.fit((read - mean) / scale, classes, sample_weight=counts)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(coefficients) == 1:  # of two classes scikit-learn gives the second's against the first
        coefficients = np.concatenate([0 * coefficients, coefficients])
        intercepts = np.concatenate([0 * intercepts, intercepts])
    arrays = {"mean": mean, "scale": scale, "coefficients": coefficients, "intercepts": intercepts}
    # Contiguous: else the file would hold the numbers of a transposed array in the wrong order.
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}


def words_read(response: str) -> str:
    """The part of an answer that the embedded model reads: its first 128 tokens."""
    from safetune_utils.models.tokenizer import load_tokenizer

    tokenizer = load_tokenizer("embedded")
    ids = tokenizer(response.strip(), add_special_tokens=False)["input_ids"]
    return str(tokenizer.decode(ids[:_LONGEST_RESPONSE]))


def reading(
    prompts: Sequence[str],
    responses: Sequence[str],
    *,
    layer: int,
    device: str = "auto",
    precision: str = "auto",
    progress: str = "",
    with_request: bool = False,
) -> np.ndarray:
    """How the embedded model reads each answer: one layer's output, averaged over the answer's tokens.

    Args:
        prompts, responses: what was asked, and one answer for each, in the same order.
        layer: 1 to 30.
        progress: a caption for a progress bar; empty for none.
        with_request: give the average over the request's tokens before it.

    Returns:
        Of shape (rows, 576), or (rows, 1152) with the request, in the order of the rows.
    """
    import torch

    from safetune_utils.models import shared_prefix
    from safetune_utils.models.shared_prefix import hidden_states

    decoder, tokenizer = reader(layer, device, precision)
    encoded = [
        _encode(tokenizer, prompt, response) for prompt, response in zip(prompts, responses, strict=True)
    ]
    lengths = [len(head) + len(tail) for head, tail in encoded]
    together = _BATCH_TOKENS if shared_prefix.may_pad(decoder) else 1

    def read(part: list[int]) -> list[list[float]]:
        hidden, places = hidden_states(decoder, [[*encoded[i][0], *encoded[i][1]] for i in part])
        found = []
        for i, place in zip(part, places, strict=True):
            n = len(encoded[i][0])
            averaged = [place[:n], place[n:]] if with_request else [place[n:]]
            found.append([x for at in averaged for x in hidden[at].float().mean(dim=0).tolist()])
        return found

    with torch.inference_mode():
        means = computed(read, lengths, tokens=together, progress=progress)
    width = decoder.config.hidden_size * (2 if with_request else 1)
    found = np.array(means, dtype=np.float32).reshape(len(encoded), width)
    if not np.isfinite(found).all():
        raise SafetuneError(
            "how the embedded model reads an answer is not a number: use bf16 or fp32 where precision is fp16"
        )
    return found


def reading_of(rows: Sequence[Labelled], *, layer: int, with_request: bool = False) -> np.ndarray:
    """What :func:`reading` finds of labelled answers, with a progress bar."""
    prompts, responses = [row.prompt for row in rows], [row.response for row in rows]
    return reading(prompts, responses, layer=layer, progress="reading", with_request=with_request)


@cache
def reader(layer: int, device: str, precision: str) -> tuple[Any, PreTrainedTokenizerBase]:
    """The embedded model's layers up to the one whose output is used, and its tokenizer."""
    import torch

    from safetune_utils.models.base_model import load_base

    model, tokenizer = load_base("embedded", device=device, precision=precision)
    decoder = model.get_decoder()
    decoder.layers = decoder.layers[:layer]
    decoder.norm = torch.nn.Identity()
    return decoder, tokenizer


def _encode(tokenizer: PreTrainedTokenizerBase, prompt: str, response: str) -> tuple[list[int], list[int]]:
    """The ids up to the answer, and the answer's."""

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    head = (
        ids("<|im_start|>user\n") + ids(prompt)[:_LONGEST_PROMPT] + ids("<|im_end|>\n<|im_start|>assistant\n")
    )
    return head, ids(response.strip())[:_LONGEST_RESPONSE]
