"""Fast ways to compute prove themselves: before one is used with a model, its numbers are compared with those
of the model's plain forward pass on a few short rows.

What came out is kept in the cache by the model's kind, its name, the versions of the libraries and the
device, so a model is tried once and not in every process.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from safetune_utils import places
from safetune_utils.machine.files import read_sealed, sealed, write_json

# A way gives its numbers by what they are: losses, logits and the like, and gradients, which differ more.
Numbers = dict[str, torch.Tensor]

# How far numbers may lie from the plain ones, as a share of their size: rounding alone stays well below (in
# bf16 the embedded model's lie .0006, .01 and .06 apart), a part of a model that is left out does not. A sum
# over many tokens is rounded least, a gradient most.
_ALLOWED: dict[str, dict[torch.dtype, float]] = {
    "loss": {torch.float32: 1e-3, torch.float16: 0.01, torch.bfloat16: 0.02},
    "likelihood": {torch.float32: 1e-3, torch.float16: 0.01, torch.bfloat16: 0.02},
    "logits": {torch.float32: 1e-3, torch.float16: 0.02, torch.bfloat16: 0.05},
    "hidden states": {torch.float32: 1e-3, torch.float16: 0.02, torch.bfloat16: 0.05},
    "gradient": {torch.float32: 1e-2, torch.float16: 0.05, torch.bfloat16: 0.15},
}
_ALLOWED_QUANTIZED = (
    0.1  # 8 bits round the numbers of a batch, too, whatever the number format around them is
)
_LONGEST_WINDOW = 512  # tokens: a longer row would take longer than the rest of a try
_VERSIONS = ("torch", "transformers", "peft")


def proven(
    model: PreTrainedModel | PeftModel,
    *,
    what: str,
    ways: Mapping[str, Callable[[], tuple[Numbers, Numbers]]],
    plain: str,
    code: Sequence[ModuleType],
) -> str:
    """The first way whose numbers are those of the plain forward pass; the plain way where none has them.

    Args:
        model: what is computed with.
        what: what is computed, such as ``loss``.
        ways: by their names, the fastest first; each gives the numbers of a few short rows that it computes,
            and what they are by the plain forward pass.
        plain: the name of the way that is not tried, since it is right by its nature.
        code: the modules that hold the ways: where their text changes, the ways are tried again.

    Returns:
        The way's name.
    """
    about = _about(model) | {"what": what, "ways": [*ways, plain]}
    texts = [Path(str(module.__file__)).read_bytes() for module in code]
    key = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode() + b"".join(texts))
    path = places.cache_folder() / "proofs" / f"{what}-{key.hexdigest()[:32]}.json"
    kept = read_sealed(path)
    if kept and kept.get("way") in about["ways"]:
        return str(kept["way"])
    tried: dict[str, object] = {}
    proven = plain
    for name, compute in ways.items():
        try:
            found, expected = compute()
        except torch.OutOfMemoryError:
            raise
        # Whatever a model does with arguments that it does not know: then the way is not one for it.
        except Exception as error:
            tried[name] = f"{type(error).__name__}: {error}"[:200]
            continue
        tried[name] = differences = _differences(found, expected)
        if all(share <= _allowed(of, model) for of, share in differences.items()):
            proven = name
            break
    with contextlib.suppress(OSError):  # a cache that cannot be written costs a second try, nothing else
        text = json.dumps(about | {"way": proven, "differences": tried}, default=str)
        write_json(path, sealed(json.loads(text)))
    return proven


def short_rows(model: PreTrainedModel | PeftModel) -> list[list[list[int]]]:
    """Rows of token ids to compare ways on: some with a common beginning and some without, of several
    lengths, one longer than a window that the model's attention has, where that is short.
    """
    base = base_of(model)
    size = min(len(cast(torch.Tensor, base.get_input_embeddings().weight)), 50_000)
    window = getattr(base.config, "sliding_window", None) or getattr(base.config, "window_size", None) or 0
    longest = window + 20 if isinstance(window, int) and window <= _LONGEST_WINDOW else 25
    draw = random.Random(0)

    def some(n: int) -> list[int]:
        return [draw.randrange(min(10, size - 1), size) for _ in range(n)]

    beginning = some(9)
    return [[beginning + some(n) for n in (13, 4, longest, 8)], [some(n) for n in (6, 31)]]


def _about(model: PreTrainedModel | PeftModel) -> dict[str, Any]:
    """What the outcome depends on besides the code; not the weights' values, which training changes."""
    base = base_of(model)
    adapters = (
        {name: config.to_dict() for name, config in model.peft_config.items()}
        if isinstance(model, PeftModel)
        else {}
    )
    for config in adapters.values():
        config["target_modules"] = sorted(config.get("target_modules") or [])
    device = base.device.type
    return {
        "model": base.name_or_path,
        "class": type(base).__name__,
        "config": base.config.to_dict(),
        "adapters": adapters,
        "precision": str(base.dtype).removeprefix("torch."),
        "device": torch.cuda.get_device_name(base.device) if device == "cuda" else device,
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONS},
    }


def base_of(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The model under an adapter, or the model itself."""
    return cast(PreTrainedModel, model.get_base_model()) if isinstance(model, PeftModel) else model


def _differences(found: Numbers, expected: Numbers) -> dict[str, float]:
    """How far each kind of numbers lies from the expected ones, as a share of their size."""
    shares = {}
    for name, right in expected.items():
        right, given = right.float(), found[name].float()
        if not right.isfinite().all():  # told where it is used, see the checks of losses and logits
            shares[name] = 0.0
            continue
        # A number that is no number gives nan, which no limit allows.
        shares[name] = ((given - right).norm() / right.norm().clamp(min=1e-12)).item()
    return shares


def _allowed(name: str, model: PreTrainedModel | PeftModel) -> float:
    base = base_of(model)
    return _ALLOWED_QUANTIZED if getattr(base, "is_quantized", False) else _ALLOWED[name][base.dtype]
