"""A base model's tokenizer, with a stop token and a padding token that the model has embeddings for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from safetune_utils.errors import SafetuneError
from safetune_utils.models.architecture import load_config
from safetune_utils.models.embedded import pad_token_id, source
from safetune_utils.models.identity import hub_words

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase


def load_tokenizer(name: str, *, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a base model, which pads with another token than the stop token.

    The embedded model's tokenizer is read once a process.

    Args:
        name: ``embedded``, a Hugging Face id, or a local folder.
        revision: the commit, tag or branch of a Hugging Face id; ``None`` is its main branch.

    Raises:
        SafetuneError: it cannot be read, or there is no stop token, or none that the model has an embedding
            for.
    """
    return _embedded_tokenizer() if name == "embedded" else _read(name, revision)


@cache
def _embedded_tokenizer() -> PreTrainedTokenizerBase:
    return _read("embedded", None)


def _read(name: str, revision: str | None) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    config = load_config(name, revision=revision)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source(name), trust_remote_code=False, revision=revision or "main"
        )
    except Exception as error:  # whatever a damaged file makes the libraries raise
        raise SafetuneError(
            f"the tokenizer of base model '{name}' cannot be read ({hub_words(error)}): copy or save it "
            "again, beside the model"
        ) from None
    if not isinstance(tokenizer.model_max_length, int | float):
        raise SafetuneError(
            f"base model '{name}' names a model_max_length in its tokenizer_config.json that is no number: "
            "write a whole number there"
        )
    vocabulary = config.get_text_config().vocab_size
    if tokenizer.eos_token_id is None:
        tokenizer.eos_token_id = _stop_token(name, revision, config)
    if tokenizer.eos_token_id is None:
        raise SafetuneError(
            f"base model '{name}' names no stop token, so no answer could end: set eos_token in its "
            "tokenizer_config.json"
        )
    if tokenizer.eos_token_id >= vocabulary:
        raise SafetuneError(
            f"base model '{name}' has embeddings for {vocabulary} tokens, and its tokenizer's stop token is "
            f"{tokenizer.eos_token_id}: give the model with the tokenizer that it was saved with"
        )
    tokenizer.pad_token_id = pad_token_id(tokenizer, vocabulary)
    return tokenizer


def _stop_token(name: str, revision: str | None, config: PreTrainedConfig) -> int | None:
    """The first stop token that a model's own settings name, where its tokenizer names none."""
    from transformers import GenerationConfig

    try:
        stop = GenerationConfig.from_pretrained(source(name), revision=revision or "main").eos_token_id
    except OSError:  # a model need not have a generation_config.json
        stop = None
    stop = getattr(config.get_text_config(), "eos_token_id", None) if stop is None else stop
    return stop[0] if isinstance(stop, list) else stop
