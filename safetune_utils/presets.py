"""Presets and named decodings, and the way from a notebook's parameters to checked settings."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from safetune_utils.errors import SafetuneError, closest
from safetune_utils.machine.device import n_gpus, n_threads
from safetune_utils.machine.memory import memory_bytes
from safetune_utils.settings import Decoding, Settings, checked, name_and_revision, read_texts

# Decodings that have a name. The paper's repository was to sample, but its flags never reached the call: it
# decoded with four beams and 128 new tokens, and did not sample.
DECODINGS: dict[str, dict[str, int]] = {
    "greedy": {"num_beams": 1},
    "paper": {"num_beams": 4, "max_new_tokens": 128},
}

# The size of the paper's study, which the presets `paper` and `repository` share.
_PAPER_SIZE: dict[str, object] = {
    "data": "paper",
    "base_model": "huggyllama/llama-7b",
    "quantization": "int8",
    "n_general": 20_000,
    "safety_amounts": [0, 100, 300, 500, 1000, 1500, 2000],
    "decoding": DECODINGS["paper"] | {"batch_size": 8},
}

# What each preset changes from the defaults of Settings, which are `pocket`.
PRESETS: dict[str, dict[str, object]] = {
    "smoke": {
        "n_general": 4,
        "safety_amounts": [0, 3],
        "max_prompts": 4,
        "recipe": {"epochs": 1, "batch_size": 12, "n_validation": 1, "evaluations": 1, "warmup_steps": 1},
        "mixing": {"n_candidates": 8},
        "decoding": {"max_new_tokens": 4},
    },
    # The main figure of the book in the time of a lesson: three amounts, fewer rows and prompts.
    "classroom": {
        "n_general": 160,
        "safety_amounts": [0, 50, 200],
        "max_prompts": 40,
        "recipe": {"n_validation": 20, "evaluations": 2},
    },
    "pocket": {},
    "course": {
        "data": "paper-sample",
        "base_model": "huggyllama/llama-7b",
        "quantization": "nf4",
        "n_general": 1500,
        "safety_amounts": [0, 100, 300, 500],
        "recipe": {
            "lora_rank": 4,
            "lora_dropout": 0.05,
            "epochs": 2,
            "batch_size": 32,
            "micro_batch_tokens": 2048,
            "learning_rate": 3e-4,
            "max_length": 384,
            "n_validation": 200,
        },
        "decoding": {"max_new_tokens": 128, "batch_size": 16},
    },
    "paper": _PAPER_SIZE
    | {
        "recipe": {
            "lora_rank": 4,
            "lora_dropout": 0.05,
            "epochs": 4,
            "batch_size": 128,
            "micro_batch_tokens": 2048,
            "learning_rate": 1e-4,
            "max_length": 512,
            "loss_on": "everything",
            "n_validation": 500,
            "validation": "from_mix",
            "evaluations": 12,
        },
    },
    # The defaults of the paper's repository, read in its code, where they differ from what the paper is said
    # to have used.
    "repository": _PAPER_SIZE
    | {
        "recipe": {
            "lora_rank": 8,
            "lora_dropout": 0.05,
            "epochs": 3,
            "batch_size": 128,
            "micro_batch_tokens": 2048,
            "learning_rate": 3e-4,
            "max_length": 256,
            "loss_on": "everything",
            "n_validation": 2000,
            "validation": "from_mix",
            "evaluations": 17,
        },
    },
}


# Every notebook on Colab, Kaggle and Binder finds its own of these: they lend machines of any size.
_LENT = ("COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE", "BINDER_LAUNCH_HOST")


def which_preset(name: Any = None) -> Any:
    """The preset that a name stands for: itself, or for ``auto`` that of this machine. ``None`` is
    ``pocket``, which the book ran, and on Colab, Kaggle and Binder ``auto``.
    """
    if name is None:
        name = "auto" if any(one in os.environ for one in _LENT) else "pocket"
    return of_this_machine() if name == "auto" else name


def of_this_machine() -> str:
    """The preset that ``auto`` stands for: of those that we have run, the largest that this machine does in
    an hour or so. ``smoke`` below 5 GB of memory, ``pocket`` with a GPU or more than two threads, else
    ``classroom``.
    """
    if memory_bytes() < 5e9:
        return "smoke"
    return "pocket" if n_gpus() or n_threads() > 2 else "classroom"


def resolve(**parameters: Any) -> Settings:
    """Return the checked settings of a study: the preset's, with the given parameters laid over them.

    Args:
        **parameters: any field of :class:`Settings`; ``None`` keeps the preset's value. ``recipe``,
            ``mixing`` and ``decoding`` may be dictionaries with only the entries that differ; ``decoding``
            may be a name of :data:`DECODINGS`.

    Raises:
        SafetuneError: an unknown name, a wrong type or a value out of range, in one line that says how to
            correct it.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    given = read_texts(given, Settings)
    given["preset"] = preset = which_preset(given.get("preset"))
    if not isinstance(preset, str) or preset not in PRESETS:
        raise SafetuneError(f"preset is {preset!r}: choose one of {', '.join(PRESETS)}")
    if isinstance(given.get("decoding"), str):
        given["decoding"] = _named_decoding(given["decoding"])
    merged: dict[str, object] = {"preset": preset}
    for layer in (PRESETS[preset], given):
        for name, value in layer.items():
            below = merged.get(name)
            merged[name] = below | value if isinstance(below, dict) and isinstance(value, dict) else value
    if isinstance(base_model := merged.get("base_model"), str):
        merged["base_model"], revision = name_and_revision(base_model)
        if revision and merged.setdefault("revision", revision) != revision:
            raise SafetuneError(
                f"base_model is {base_model!r} and revision is {merged['revision']!r}: give one of the two"
            )
    return checked(Settings, merged)


def resolve_decoding(name: str = "greedy", **entries: Any) -> Decoding:
    """Return a named decoding with other entries laid over it; ``None`` keeps the named one's value.

    Raises:
        SafetuneError: an unknown name or entry, a wrong type or a value out of range, in one line that says
            how to correct it.
    """
    return checked(
        Decoding, _named_decoding(name) | {key: value for key, value in entries.items() if value is not None}
    )


def _named_decoding(name: str) -> dict[str, int]:
    if name not in DECODINGS:
        raise SafetuneError(
            f"decoding is {name!r}: choose one of {', '.join(DECODINGS)}, or give its entries"
        )
    return DECODINGS[name]


def among(
    names: Mapping[str, Any], schema: type[BaseModel], *, given: Collection[str] = ()
) -> dict[str, Any]:
    """Those of some names, such as a notebook's ``globals()``, that a schema has, with their values.

    Args:
        given: parameters that are given besides, so that a name like theirs is no slip: a loop over ``seed``
            that gives ``seeds``.

    Raises:
        SafetuneError: a name is nearly that of a parameter, as ``safety_amount`` is, and was given by
            papermill or has a value of that parameter's kind; taken as a name of the notebook's own, it would
            change nothing, and nobody would see it.
    """
    fields = schema.model_fields
    injected = "\n".join(cell for cell in names.get("In", ()) if cell.startswith("# Parameters\n"))
    for name, value in names.items():
        near = None if name in fields or name.startswith("_") else closest(name, fields, at_least=0.85)
        if not near or near in given:
            continue
        if f"\n{name} = " in injected or _is_like(read_texts({near: value}, schema)[near], fields[near]):
            raise SafetuneError(
                f"'{name}' is no parameter: did you mean '{near}'? Give it that name, or one less like it"
            )
    return read_texts({name: names[name] for name in fields if name in names}, schema)


def _is_like(value: Any, field: FieldInfo) -> bool:
    """Whether a value has the kind of a parameter's; ``seed``, left over by a loop, has not that of
    ``seeds``.
    """
    try:
        TypeAdapter(cast(Any, field.annotation)).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True
