"""Adapters in PEFT's form: read with the result that PEFT gives, or refused in one line, and written with the
same bytes each time.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftConfig, PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file
from transformers import PreTrainedModel

from safetune_utils.errors import SafetuneError, first_line
from safetune_utils.machine.files import write_json
from safetune_utils.models.base_model import BaseName, base_name
from safetune_utils.models.folders import ADAPTER_CONFIG, check_adapter_folder
from safetune_utils.models.identity import ADAPTER_FILE, EMBEDDED_FOLDER, EMBEDDED_TITLE

# The largest difference that rounding may make to a row's logits, as a share of them. Merging made one of at
# most 1e-6, .004 and .037 in the embedded model, with adapters of a tenth to six times the usual strength,
# and of at most 6e-6, .004 and .017 in tiny models of 51 architectures (of .064 in bf16 in Falcon Mamba).
_ROUNDING = {torch.float32: 1e-4, torch.float16: 0.01, torch.bfloat16: 0.05}


def load_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel | PeftModel:
    """Put a saved adapter on a base model for generation.

    It is merged into the weights, which makes decoding about twice as fast, where a short row shows that the
    merged model computes what PEFT's does, up to rounding. It is not merged into an 8- or 4-bit base model,
    nor into a vocabulary layer that is tied to another; the result is then a model whose adapter is separate
    from its weights. An adapter that was trained on another base model is a warning.

    Raises:
        SafetuneError: there is no adapter, or only a part of one, or it does not belong on this model, or
            changes nothing.
    """
    config = check_adapter(folder)
    base = base_name(model)
    if not _alike(BaseName(config.base_model_name_or_path or "", config.revision or ""), base):
        warnings.warn(
            f"the adapter in {folder} was trained on {config.base_model_name_or_path}, and is put on "
            f"{base.name}: what it does there was never learned",
            stacklevel=2,
        )
    adapted = _read(model, folder, config)
    if is_zero(adapted):
        raise SafetuneError(
            f"the adapter in {folder} changes nothing, because all its lora_B are zero: it was saved before "
            "it was trained; give one that was"
        )
    outside = (
        f"the adapter in {folder} is of kind {_kind(config)}, which works outside of the model's layers: "
        "give one of another kind, such as LoRA"
    )
    try:
        unmerged = _logits(adapted)
    except (TypeError, ValueError):  # it asks for more than a text
        raise SafetuneError(outside) from None
    if not unmerged.isfinite().all():
        raise SafetuneError(
            f"with the adapter in {folder} the model computes no numbers: use precision fp32, or give another"
        )
    # What reads a model layer by layer, as decoding does, must find the whole adapter in its layers.
    if not _same(unmerged, _logits(cast(PreTrainedModel, adapted.get_base_model())), model.dtype):
        raise SafetuneError(outside)
    if getattr(model, "is_quantized", False):
        return adapted.eval()
    return _merged(adapted, unmerged).eval()


def check_adapter(folder: Path) -> PeftConfig:
    """Check an adapter by all that can be seen without its base model, and return its settings.

    Raises:
        SafetuneError: there is none, or only a part of one, or it is of a kind that is not read here.
    """
    check_adapter_folder(folder)
    mend = "copy the adapter again from where it was trained"
    try:
        config = PeftConfig.from_pretrained(str(folder))
    except Exception as error:  # whatever a damaged file makes PEFT raise
        raise SafetuneError(
            f"{folder / ADAPTER_CONFIG} cannot be read ({first_line(error)}): {mend}"
        ) from None
    _check_tensors(folder)
    return config


def _kind(config: PeftConfig) -> str:
    """The kind of an adapter, in PEFT's word for it, such as LORA."""
    return str(getattr(config.peft_type, "value", config.peft_type))


def _check_tensors(folder: Path) -> None:
    """Raise ``SafetuneError`` where an adapter's file is cut off, or holds what is no number."""
    try:
        tensors = load_file(folder / ADAPTER_FILE)
    except Exception as error:
        raise SafetuneError(
            f"{folder / ADAPTER_FILE} is not whole ({first_line(error)}): copy the adapter again from where "
            "it was trained"
        ) from None
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise SafetuneError(
                f"the adapter in {folder} has weights that are no numbers ({name}): train it with a lower "
                "learning_rate, or give another"
            )


def _read(model: PreTrainedModel, folder: Path, config: PeftConfig) -> PeftModel:
    """A model with the adapter of a folder, as PEFT reads it.

    Raises:
        SafetuneError: PEFT cannot read it, or the adapter lacks a layer, or the model does.
    """
    trained_on = f", {config.base_model_name_or_path}" if config.base_model_name_or_path else ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PEFT warns of is an error below, or shown by the short row
        try:
            adapted = PeftModel.from_pretrained(model, str(folder))
            # A second time, because only this method says what did not fit.
            found = adapted.load_adapter(str(folder), "default")
        except KeyError as error:  # a whole layer that the adapter should hold
            raise SafetuneError(_incomplete(folder, [str(error.args[0])], trained_on)) from None
        except Exception as error:
            reason = _misfit(error, model.config.get_text_config().vocab_size)
            raise SafetuneError(
                f"the adapter in {folder} does not fit this base model ({reason}): give the one that it was "
                f"trained on{trained_on}"
            ) from None
    if found.unexpected_keys:
        raise SafetuneError(
            f"the adapter in {folder} changes layers that this base model lacks "
            f"({min(found.unexpected_keys)}): give the base model that it was trained on{trained_on}"
        )
    # A bank of vectors that layers share is in the file once.
    if missing := [name for name in found.missing_keys if "vblora_vector_bank" not in name]:
        raise SafetuneError(_incomplete(folder, missing, trained_on))
    return adapted


def _incomplete(folder: Path, missing: Sequence[str], trained_on: str) -> str:
    return (
        f"the adapter in {folder} lacks {len(missing)} of the tensors that this base model needs of it "
        f"({min(missing)}): copy it again from where it was trained, or give the base model that it was "
        f"trained on{trained_on}"
    )


def _misfit(error: Exception, vocabulary: int) -> str:
    """Why PEFT could not put an adapter on a model."""
    found = re.search(
        r"size mismatch for (\S+): .*?Size\(\[([\d, ]+)\]\).*?Size\(\[([\d, ]+)\]\)", str(error), re.DOTALL
    )
    if found is None:
        return first_line(error)
    name, *shapes = found.groups()
    there, here = ([int(size) for size in shape.split(",")] for shape in shapes)
    for n, m in zip(there, here, strict=False):
        if n != m == vocabulary:
            return f"it has a vocabulary of {n} tokens with those that were added, and the model one of {m}"
    return f"{name} has the shape {there}, and here it would need {here}"


def is_zero(model: PeftModel) -> bool:
    """Whether a LoRA adapter changes nothing: each of its ``lora_B`` matrices is zero."""
    found = [p.detach() for name, p in model.named_parameters() if "lora_B" in name]
    return bool(found) and not any(p.any() for p in found)


def _logits(model: PreTrainedModel | PeftModel) -> torch.Tensor:
    """What a model says after each token of a short row."""
    vocabulary = model.config.get_text_config().vocab_size
    row = torch.arange(1, 9, device=model.device)[None] * 101 % vocabulary
    with torch.inference_mode():
        return model(input_ids=row, use_cache=False).logits.float()


def _same(first: torch.Tensor, second: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether logits are the same up to the rounding of a number format; what is no number is not."""
    return bool((first - second).norm() <= _ROUNDING[dtype] * first.norm())


def _merged(adapted: PeftModel, unmerged: torch.Tensor) -> PreTrainedModel | PeftModel:
    """The model with its adapter merged into the weights, if it then computes the logits ``unmerged``; else
    as it was.
    """
    base = cast(PreTrainedModel, adapted.get_base_model())
    layers = [module for module in adapted.modules() if isinstance(module, BaseTunerLayer)]
    ends = [base.get_input_embeddings(), base.get_output_embeddings()]
    if ends[0].weight.data_ptr() == ends[1].weight.data_ptr() and any(end in layers for end in ends):
        return adapted  # what is added to one of two tied layers would be added to the other
    # To take an adapter out of weights again would round them, so they are copied; on the CPU, where a second
    # copy has room.
    before = {p: p.detach().to("cpu", copy=True) for one in layers for p in one.get_base_layer().parameters()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            adapted.merge_adapter()
            if _same(unmerged, _logits(adapted), base.dtype):
                return adapted.unload()  # the merged layers lose what PEFT put around them
        except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
            pass  # not every kind of adapter can be merged
    for parameter, weight in before.items():
        parameter.data.copy_(weight)
    for layer in layers:
        layer.merged_adapters.clear()
    return adapted


def save_adapter(adapted: PeftModel, folder: Path) -> None:
    """Write an adapter in PEFT's form, with the same bytes wherever and whenever it is written.

    PEFT itself names the base model by the folder that it was loaded from, and writes sets in any order.
    """
    adapted.save_pretrained(str(folder))
    # PEFT's empty model card says nothing.
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / ADAPTER_CONFIG
    config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    base = base_name(cast(PreTrainedModel, adapted.get_base_model()))
    config |= {"base_model_name_or_path": base.name or None, "revision": base.revision or None}
    for name in ("target_modules", "exclude_modules"):
        if isinstance(config.get(name), list):
            config[name].sort()
    write_json(path, dict(sorted(config.items())))


def _alike(trained_on: BaseName, base: BaseName) -> bool:
    """Whether two names may be of the same base model; a hash decides where both have one."""
    if not (trained_on.name and base.name):
        return True
    kinds = [one.revision.partition(":")[0] if ":" in one.revision else "" for one in (trained_on, base)]
    if kinds[0] and kinds[0] == kinds[1]:
        return trained_on.revision == base.revision
    names = [Path(one.name).name.lower() for one in (trained_on, base)]
    if names[0].startswith(EMBEDDED_FOLDER):  # as adapters were written before
        names[0] = EMBEDDED_TITLE.lower()
    commits = {one.revision for one in (trained_on, base) if re.fullmatch("[0-9a-f]{40}", one.revision)}
    return names[0] == names[1] and len(commits) < 2
