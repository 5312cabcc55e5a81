"""What is wrong with the folder of a base model or of an adapter, as far as its files say so themselves: text
and the heads of the weights are read, and no library that knows models is imported.

What needs such a library is checked by :mod:`safetune_utils.models.checks` and
:mod:`safetune_utils.models.adapters`, which begin with these.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from safetune_utils import strict_json
from safetune_utils.errors import SafetuneError, first_line
from safetune_utils.models.identity import ADAPTER_FILE, hub_words, no_model, no_weights
from safetune_utils.places import extra

ADAPTER_CONFIG = "adapter_config.json"
# A name on the Hugging Face hub: an owner and a model, or one of the old names without an owner.
_HUB_ID = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")
_SAVE_AGAIN = "copy or save the model again"
# Kinds of adapters in PEFT that put learned tokens before the text.
_BEFORE_THE_TEXT = (
    "PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT", "CARTRIDGE",
    "ADAPTION_PROMPT",
)  # fmt: skip


def check_base_folder(name: str) -> None:
    """Check a base model by what is written in its folder. The embedded model, and a model of the hub, have
    nothing here to look at but the name.

    Args:
        name: ``embedded``, a Hugging Face id, or a local folder.

    Raises:
        SafetuneError: there is no such folder and the name is no id; it holds an adapter; its config.json is
            no JSON object, or that of a model that does not write from left to right, of one with code of its
            own or in another library's format; its weights are not whole, or its tokenizer is not JSON.
    """
    if name == "embedded":
        return
    folder = Path(name).expanduser()
    if folder.is_file():
        raise SafetuneError(f"base model '{name}' is a file: give the folder that holds the whole model")
    if not folder.is_dir():
        if not _HUB_ID.fullmatch(name) or ".." in name or "--" in name:
            raise SafetuneError(no_model(name))
        return
    if (folder / ADAPTER_CONFIG).is_file():
        raise SafetuneError(
            f"{name} holds an adapter ({ADAPTER_CONFIG}): give the base model that it was trained on as "
            "base model, and this folder as adapter"
        )
    if not (folder / "config.json").is_file():
        raise SafetuneError(
            f"{name} holds no model (it has no config.json): give the folder that save_pretrained wrote"
        )
    check_kind(name, _object(folder / "config.json", mend=_SAVE_AGAIN))
    _check_weights(name, folder)
    _check_tokenizer(name, folder)


def check_kind(name: str, config: Mapping[str, Any]) -> None:
    """Raise ``SafetuneError`` for what is no language model, and for weights in another library's format.

    Args:
        name: the base model's.
        config: the entries of its config.json.
    """
    quantized = config.get("quantization_config")
    method = str(quantized.get("quant_method") or "unknown") if isinstance(quantized, Mapping) else "none"
    if method not in ("none", "bitsandbytes"):
        raise SafetuneError(
            f"base model '{name}' is stored in {method.upper()}, which is not trained here: give the model "
            "that it was made from, and quantization int8 or nf4 to hold it in few bits"
        )
    if method == "bitsandbytes" and importlib.util.find_spec("bitsandbytes") is None:
        raise SafetuneError(
            f"base model '{name}' is stored in few bits by bitsandbytes: {extra('gpu')}, or give "
            "the model that it was made from"
        )
    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise SafetuneError(f"the config.json of base model '{name}' names no model_type: {_SAVE_AGAIN}")
    writes, fills = (_kinds(f"MODEL_FOR_{what}_LM_MAPPING_NAMES") for what in ("CAUSAL", "MASKED"))
    if kind not in writes and "auto_map" in config:
        raise SafetuneError(
            f"base model '{name}' comes with code of its own, which is not run here: give a model of an "
            "architecture that transformers has"
        )
    both_ways = kind in fills and not config.get("is_decoder")
    if kind not in writes or config.get("is_encoder_decoder") or both_ways:
        raise SafetuneError(
            f"base model '{name}' is of type '{kind}', which does not write from left to right in "
            "transformers' own code (code that comes with a model is not run): give another model"
        )


@cache
def _kinds(table: str) -> frozenset[str]:
    """The architectures in one of the tables of transformers, read from its text."""
    spec = importlib.util.find_spec("transformers")
    folder = Path(spec.origin or "").parent if spec else Path()
    text = (folder / "models" / "auto" / "modeling_auto.py").read_text("utf-8")
    (entries,) = (
        node.value.args[0]
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and [getattr(one, "id", "") for one in node.targets] == [table]
    )
    return frozenset(kind for kind, _ in ast.literal_eval(entries))


def unreadable(name: str, reason: BaseException | str) -> str:
    """The line for a base model that could not be read."""
    why = reason if isinstance(reason, str) else hub_words(reason)
    return (
        f"base model '{name}' could not be loaded ({why}): copy or save it again with "
        "safetensors weights, or give 'embedded', another Hugging Face id, or a folder"
    )


def _check_weights(name: str, folder: Path) -> None:
    """Raise ``SafetuneError`` where a weights file is cut off, or one that the index names is missing."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise SafetuneError(no_weights(folder))
    for path in files:
        if reason := _fault(path):
            raise SafetuneError(unreadable(name, reason))
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = _object(index, mend=_SAVE_AGAIN).get("weight_map")
        shards = set(map(str, named.values())) if isinstance(named, dict) else set()
        if missing := sorted(shards - {path.name for path in files}):
            raise SafetuneError(unreadable(name, f"there is no {missing[0]}"))


def _fault(path: Path) -> str:
    """Why a file is no whole safetensors file, by its head; empty where it is one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            return ""
    except (SafetensorError, OSError, ValueError) as error:
        return first_line(error)


def _check_tokenizer(name: str, folder: Path) -> None:
    """Raise ``SafetuneError`` where there is no tokenizer, or a file of it is not JSON."""
    mend = "copy or save it again, beside the model"
    there = [*folder.glob("tokenizer*"), *folder.glob("vocab*"), *folder.glob("*.model")]
    if not there:
        raise SafetuneError(f"the tokenizer of base model '{name}' cannot be read (there is none): {mend}")
    for path in there:
        try:
            if path.suffix == ".json":
                json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise SafetuneError(
                f"the tokenizer of base model '{name}' cannot be read ({path.name} is not JSON: "
                f"{first_line(error)}): {mend}"
            ) from None


def _object(path: Path, *, mend: str) -> dict[str, Any]:
    found = strict_json.read(path, mend=mend)
    if not isinstance(found, dict):
        raise SafetuneError(f"{path} holds no object of settings: {mend}")
    return found


def check_adapter_folder(folder: Path) -> None:
    """Check an adapter by what is written in its folder.

    Raises:
        SafetuneError: there is none, or only a part of one, or it is of a kind that is not read here.
    """
    if not (folder / ADAPTER_CONFIG).is_file():
        raise SafetuneError(_what_it_is(folder))
    mend = "copy the adapter again from where it was trained"
    found = _object(folder / ADAPTER_CONFIG, mend=mend)
    if not (folder / ADAPTER_FILE).is_file():
        pickled = (
            " but adapter_model.bin, which may run code" if (folder / "adapter_model.bin").is_file() else ""
        )
        raise SafetuneError(
            f"{folder} has no {ADAPTER_FILE}{pickled}: save the adapter with PEFT's save_pretrained"
        )
    if found.get("peft_type") in _BEFORE_THE_TEXT:
        raise SafetuneError(
            f"the adapter in {folder} is of kind {found['peft_type']}, which puts learned tokens before "
            "the text and cannot be answered with here: give one that changes layers, such as LoRA"
        )
    if found.get("alora_invocation_tokens"):
        raise SafetuneError(
            f"the adapter in {folder} is an activated LoRA, which begins to work at certain words of a text "
            "and cannot be answered with here: give a LoRA that always works"
        )
    if found.get("task_type") not in (None, "CAUSAL_LM"):
        raise SafetuneError(
            f"the adapter in {folder} was trained for {found['task_type']}, and here models write: give one "
            "that was trained for CAUSAL_LM"
        )
    rank, layers = found.get("r", 1), found.get("target_modules")
    if found.get("peft_type") == "LORA" and (type(rank) is not int or rank < 1):
        raise SafetuneError(f"{folder / ADAPTER_CONFIG} names the rank (r) {rank!a:.60}: {mend}")
    if layers is not None and not isinstance(layers, str | list):
        raise SafetuneError(
            f"{folder / ADAPTER_CONFIG} names the layers (target_modules) {layers!a:.60}: {mend}"
        )
    if reason := _fault(folder / ADAPTER_FILE):
        raise SafetuneError(f"{folder / ADAPTER_FILE} is not whole ({reason}): {mend}")


def _what_it_is(folder: Path) -> str:
    """What there is in the place of an adapter, and what to give instead."""
    if folder.is_file():
        return f"{folder} is a file, and an adapter is a folder with {ADAPTER_CONFIG}: give its folder"
    if not folder.is_dir():
        return f"there is no folder {folder}: give the folder of an adapter"
    below = sorted(path.parent.name for path in folder.glob(f"*/{ADAPTER_CONFIG}"))
    if below:
        return f"{folder} holds adapters in {', '.join(below)}, and none itself: give one of these folders"
    if (folder / "config.json").is_file():
        return f"{folder} holds a whole model and no adapter: give it as the base model"
    if (folder / ADAPTER_FILE).is_file():
        return (
            f"{folder} lacks {ADAPTER_CONFIG}, without which its weights say nothing: copy the adapter again"
        )
    return f"{folder} holds no adapter ({ADAPTER_CONFIG}): give the folder of one"
