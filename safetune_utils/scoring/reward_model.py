"""Reward models: a classifier with one output that gives a number to a text, or to a pair of texts.

The paper's two harmfulness models and its model of quality are such models. All three are DeBERTa, which does
not work in half precision, so they run in fp32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from safetune_utils.errors import SafetuneError
from safetune_utils.machine.batches import computed
from safetune_utils.machine.device import check, planned
from safetune_utils.machine.hub import hub_answers
from safetune_utils.models.identity import commit_in, hub_words, identity
from safetune_utils.scoring.score import Score

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_TOKENS = 512  # what these models were trained to read


@cache  # the hub is asked once in a process: what a score's name says is what is loaded
def identified(name: str) -> str:
    """What identifies a reward model, see :func:`safetune_utils.models.identity.identity`."""
    return identity(name)


def check_at_hand(name: str) -> None:
    """Check that a reward model's weights are on this machine or can be fetched, without fetching them.

    Raises:
        SafetuneError: they are neither.
    """
    commit = commit_in(identified(name))
    if commit is None:
        return
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    for file in ("model.safetensors", "pytorch_model.bin"):
        if isinstance(huggingface_hub.try_to_load_from_cache(name, file, revision=commit), str):
            return
        try:
            if not hub_answers():
                raise OSError("the hub cannot be reached")
            huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(name, file, revision=commit))
        except EntryNotFoundError:
            continue
        except Exception as error:  # of the hub's client and of what it is made of
            raise SafetuneError(
                f"the weights of reward model '{name}' are not on this machine and cannot be fetched "
                f"({hub_words(error)}): check the network, or leave the instrument out"
            ) from None
        return
    raise SafetuneError(f"reward model '{name}' has no weights: give a trained one")


def load(name: str, *, device: str = "auto") -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a reward model in fp32, one of the hub at the commit that was :func:`identified`.

    Args:
        name: a Hugging Face id (435 million parameters, 1.7 GB for those of the paper) or a local folder.
        device: ``cpu``, ``cuda``, or ``auto``, which is a GPU where there is one.

    Raises:
        SafetuneError: the model cannot be loaded, or it is no reward model.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    revision = None if Path(name).is_dir() else commit_in(identified(name))
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
        model, found = AutoModelForSequenceClassification.from_pretrained(
            name,
            revision=revision,
            dtype=torch.float32,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # whatever a damaged or a strange file makes the libraries raise
        raise SafetuneError(
            f"reward model '{name}' cannot be read ({hub_words(error)}): "
            "check the id, the network and your access to it, or give a folder that holds all of it"
        ) from None
    if found["missing_keys"]:  # transformers would go on with random weights in their place
        raise SafetuneError(
            f"'{name}' lacks weights of a reward model ({min(found['missing_keys'])}): give a trained one"
        )
    _check(model, tokenizer)
    device, _ = planned(device=device, precision="fp32")
    check(device)
    if device == "cuda":
        model.to(device)
    return model.requires_grad_(False).eval(), tokenizer


def score(
    first: Sequence[str],
    second: Sequence[str] | None = None,
    *,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch_size: int = 16,
    progress: str = "",
) -> list[Score]:
    """The model's one output for each text, or each pair of texts, in the input's order; without bounds.

    How rows are put into batches does not change a value, up to rounding. A row over 512 tokens loses the end
    of its longer part, and its ``reason`` says so.

    Args:
        first: the texts, or the first of each pair.
        second: the second of each pair, where there are pairs.
        model, tokenizer: from :func:`load`.
        batch_size: rows at a time.
        progress: a caption for a progress bar; empty for none.

    Raises:
        SafetuneError: the model has more than one output or is not in fp32, or the tokenizer has no padding
            token.
    """
    import torch

    _check(model, tokenizer)
    model.eval()
    if not first:
        return []

    def pairs(rows: Sequence[int]) -> list[list[str]]:
        return [[texts[i] for i in rows] for texts in ([first] if second is None else [first, second])]

    # A verbose tokenizer warns of long rows, which are cut below.
    encoded = tokenizer(*pairs(range(len(first))), verbose=False)
    n_tokens = list(map(len, encoded["input_ids"]))
    limit = min(MAX_TOKENS, model.config.max_position_embeddings)

    def read(batch: list[int]) -> list[float]:
        inputs = tokenizer(
            *pairs(batch), truncation=True, max_length=limit, padding=True, return_tensors="pt"
        )
        return model(**inputs.to(model.device)).logits[:, 0].tolist()

    with torch.inference_mode():
        rewards = computed(read, n_tokens, rows=batch_size, progress=progress)
    found = []
    for reward, n in zip(rewards, n_tokens, strict=True):
        if math.isfinite(reward):
            cut = f"read up to token {limit} of {n}" if n > limit else ""
            found.append(Score(reward, reason=cut))
        else:
            found.append(Score(None, reason="the reward is not a number"))
    return found


def _check(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse what would give meaningless numbers, and make model and tokenizer agree on the padding."""
    import torch

    if model.config.num_labels != 1:
        raise SafetuneError(
            f"a reward model has one output and this one has {model.config.num_labels}: give another model"
        )
    if model.dtype != torch.float32:
        raise SafetuneError(
            f"the reward model is in {model.dtype}, in which DeBERTa gives no numbers: "
            "load it with reward_model.load, which takes fp32"
        )
    if tokenizer.pad_token_id is None:
        raise SafetuneError(
            "the reward model's tokenizer has no padding token, so a batch would be misread: "
            "set tokenizer.pad_token"
        )
    # A decoder with a classification head looks for this token to find each row's end.
    model.config.pad_token_id = tokenizer.pad_token_id
