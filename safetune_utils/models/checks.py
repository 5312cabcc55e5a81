"""What is wrong with a base model, found before its weights are read and before anything is computed with it.

Each check raises one line that names the mend. A configuration, the heads of the weight files and a tokenizer
are enough for all of them but two: that every weight is a number, and that a model of the hub which was never
downloaded lacks none; these are looked at when it is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from safetune_utils.errors import SafetuneError
from safetune_utils.models.architecture import is_target, load_config, no_layers, skeleton
from safetune_utils.models.embedded import quiet, source
from safetune_utils.models.folders import check_base_folder, check_kind, unreadable
from safetune_utils.models.tokenizer import load_tokenizer

# Whose trained weights make numbers too large for fp16: Gemma 2 and 3 in their activations, Phi 1 to 2 in
# attention (as its authors say on its card: huggingface.co/microsoft/phi-2).
_OVERFLOW = ("gemma2", "gemma3", "gemma3_text", "phi")


def check_base(
    name: str,
    *,
    revision: str | None = None,
    precision: str = "fp32",
    target_modules: Sequence[str] | None = None,
) -> tuple[PreTrainedConfig, PreTrainedTokenizerBase]:
    """Check a base model by all that can be read without its weights.

    Args:
        name: ``embedded``, a Hugging Face id, or a local folder.
        revision: the commit, tag or branch of a Hugging Face id; ``None`` is its main branch.
        precision: the number format that it is to be held in.
        target_modules: layers that are to get an adapter; ``None`` takes those of the architecture.

    Returns:
        The model's configuration and its tokenizer.

    Raises:
        SafetuneError: it is known to overflow in fp16; it cannot be reached or is no model that writes; its
            weights are quantised, cut off or incomplete; it has no stop token or one without an embedding, or
            it lacks the named layers.
    """
    check_base_folder(name)
    config = load_config(name, revision=revision)
    quantized: Any = getattr(config, "quantization_config", None)
    method = getattr(quantized, "quant_method", None)
    check_kind(
        name,
        {
            "model_type": config.model_type,
            "is_encoder_decoder": config.is_encoder_decoder,
            "is_decoder": getattr(config, "is_decoder", False),
            "quantization_config": {"quant_method": getattr(method, "value", method)}
            if method
            else quantized,
        },
    )
    if precision == "fp16" and config.get_text_config().model_type in _OVERFLOW:
        raise SafetuneError(
            f"models of the architecture {config.model_type} are known to overflow in fp16: set precision to "
            "bf16 or fp32"
        )
    tokenizer = load_tokenizer(name, revision=revision)
    if name != "embedded":  # its files have a known hash
        _check_weights(name, revision)
    if target_modules is not None:
        _check_targets(config, target_modules)
    return config, tokenizer


def _check_weights(name: str, revision: str | None) -> None:
    """Read the heads of the weight files as loading them would, without memory for the weights.

    A model of the hub is looked at where it was downloaded before.
    """
    folder = Path(source(name))
    try:
        with quiet(warnings=True):
            _, found = cast(Any, AutoModelForCausalLM.from_pretrained)(
                source(name),
                revision=revision or "main",
                device_map="meta",
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # they are told below
                output_loading_info=True,
            )
    except OSError as error:
        if folder.is_dir():
            raise SafetuneError(unreadable(name, error)) from None
        return
    except Exception as error:
        raise SafetuneError(unreadable(name, error)) from None
    check_complete(name, found)


def check_complete(name: str, found: Mapping[str, Any]) -> None:
    """Raise ``SafetuneError`` where weights are missing, in place of which transformers puts random numbers.

    Args:
        name: the base model's.
        found: what ``from_pretrained`` tells of its loading. A tied output layer is not missing in it.
    """
    wrong = found["mismatched_keys"]
    if wrong:
        key, there, needed = min(wrong)
        raise SafetuneError(
            f"base model '{name}' is not the model of its config.json ({key} has the shape {list(there)} and "
            f"not {list(needed)}): give both from the same model"
        )
    missing = found["missing_keys"]
    if missing:
        raise SafetuneError(
            f"base model '{name}' lacks {len(missing)} of its weights ({min(missing)}), and random numbers "
            "would stand there: copy or save the whole model again"
        )


def check_numbers(name: str, model: PreTrainedModel) -> None:
    """Raise ``SafetuneError`` where a loaded model has weights that are infinite or no number."""
    for weight, tensor in model.named_parameters():
        scales = getattr(tensor, "SCB", None)  # of bitsandbytes' int8
        if scales is None:
            scales = getattr(getattr(tensor, "quant_state", None), "absmax", None)  # of its nf4
        for numbers in (tensor, scales):
            if numbers is not None and numbers.is_floating_point() and not _is_finite(numbers):
                narrow = "; fp16 holds none above 65504, so use precision bf16 or fp32, or"
                raise SafetuneError(
                    f"base model '{name}' has weights that are no numbers ({weight})"
                    f"{narrow if numbers.dtype == torch.float16 else ':'} give an undamaged copy"
                )


def _is_finite(numbers: torch.Tensor) -> bool:
    # A sum takes a tenth of the time, and is finite where all numbers are, but for one that runs over.
    return bool(numbers.sum().isfinite()) or bool(numbers.isfinite().all())


def _check_targets(config: PreTrainedConfig, target_modules: Sequence[str]) -> None:
    """Raise ``SafetuneError`` where one of the layers that are to get an adapter is not in the model."""
    kinds = (torch.nn.Linear, torch.nn.Embedding, Conv1D)
    layers = [name for name, one in skeleton(config).named_modules() if isinstance(one, kinds)]
    wrong = [target for target in target_modules if not any(is_target(name, [target]) for name in layers)]
    if wrong:
        raise SafetuneError(no_layers(wrong, layers))


def context(config: PreTrainedConfig) -> int | None:
    """How many tokens a model was made to read, prompt and answer together; ``None`` where any number."""
    text = config.get_text_config()
    sizes = (getattr(text, size, None) for size in ("max_position_embeddings", "max_seq_len"))
    return next((size for size in sizes if size), None)


def check_rows(
    rows: Iterable[Sequence[int]],
    *,
    name: str,
    config: PreTrainedConfig,
    what: str,
    mend: str,
    more: int = 0,
) -> None:
    """Check encoded texts against what a model can read.

    Args:
        rows: token ids of each text.
        name: the base model's.
        config: its configuration.
        what: what one of the texts is, for the message.
        mend: what to do about texts that are too long.
        more: how many tokens may follow each.

    Raises:
        SafetuneError: a text with what may follow is longer than the model's context, or holds a token that
            the model has no embedding for.
    """
    longest, vocabulary = context(config), config.get_text_config().vocab_size
    for row in rows:
        if longest and len(row) + more > longest:
            answer = f" and an answer of up to {more}" if more else ""
            raise SafetuneError(
                f"{what} has {len(row)} tokens{answer}, and base model '{name}' reads at most {longest} "
                f"together: {mend}"
            )
        if row and max(row) >= vocabulary:
            raise SafetuneError(
                f"{what} holds the token {max(row)}, and base model '{name}' has embeddings for "
                f"{vocabulary}: give the model with the tokenizer that it was saved with"
            )
