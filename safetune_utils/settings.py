"""Typed parameters and presets: one schema for the notebooks, the command line and the pages.

A notebook gives a preset and whatever it wants to be different; ``resolve`` lays the second over the first and
checks everything before any costly work starts. ``None`` always means "as the preset has it".
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from safetune_utils.errors import SafetuneError

PresetName = Literal["smoke", "classroom", "pocket", "course", "paper", "repository"]
SafetyFormat = Literal["instruction", "question", "mixed"]
_Kind = TypeVar("_Kind", bound=BaseModel)


class _Schema(BaseModel):
    # Strict: "100" is not a number and 1.0 is not a count, so a typing slip is an error and not a guess.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Recipe(_Schema):
    """How an adapter is trained."""

    lora_rank: int = Field(8, ge=1, le=256, description="rank of the LoRA matrices")
    lora_alpha: float = Field(16, gt=0, le=1024, description="LoRA scaling; the update is multiplied by alpha / rank")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the adapter's input")
    target_modules: list[str] = Field(["q_proj", "v_proj"], min_length=1, description="layers that get an adapter; Falcon needs ['query_key_value']")
    epochs: int = Field(2, ge=1, le=100, description="passes over the mix")
    batch_size: int = Field(8, ge=1, le=4096, description="effective batch, in rows, of one optimiser step")
    micro_batch_tokens: int = Field(1024, ge=1, le=10_000_000, description="tokens in memory at once, padding included; changes memory, not the mathematics")
    learning_rate: float = Field(2e-3, gt=0, le=0.1, description="peak learning rate of AdamW")
    warmup_steps: int = Field(10, ge=0, le=100_000, description="steps of linear warm-up, followed by linear decay to 0")
    max_length: int = Field(256, ge=16, le=131_072, description="cut-off length in tokens, prompt and answer together")
    loss_on: Literal["answer", "everything"] = Field("answer", description="tokens that are learned: the answer only, or the prompt too (the paper's way)")
    n_validation: int = Field(40, ge=1, le=100_000, description="rows held out to measure the validation loss")
    validation: Literal["apart", "from_mix"] = Field(
        "apart",
        description="where they come from: general rows apart from every mix, with safety rows added in the mix's proportion; or out of the mix itself (the paper's way)",
    )
    evaluations: int = Field(4, ge=1, le=1000, description="times the validation loss is measured; the lowest is kept")
    patience: int | None = Field(None, ge=1, description="stop after so many measurements without a lower validation loss; None never stops early")


class Decoding(_Schema):
    """How answers are generated. By default nothing is drawn: the same adapter gives the same answers."""

    num_beams: int = Field(1, ge=1, le=64, description="1 is greedy; the paper's repository used 4 beams")
    max_new_tokens: int = Field(64, ge=1, le=8192, description="longest answer, in tokens")
    batch_size: int = Field(96, ge=1, le=4096, description="prompts answered at once")
    temperature: float = Field(0.0, ge=0, le=2, description="0 takes the likeliest token; above 0 draws, the more freely the higher")
    guard: str = Field("", max_length=2000, description="a text put before every instruction; '' is none")
    sampling_seed: int = Field(0, ge=0, le=2**31 - 1, description="decides what is drawn at a temperature above 0")

    @model_validator(mode="after")
    def _beams_do_not_draw(self) -> Decoding:
        if self.temperature > 0 and self.num_beams > 1:
            raise ValueError("temperature and num_beams do not go together: set temperature to 0, or num_beams to 1")
        return self


class Mixing(_Schema):
    """Which rows a mix is made of, beyond how many; by default safety rows are drawn at random from all topics."""

    choice: Literal["random", "refusals", "topics", "hardest"] = Field(
        "random",
        description="which safety rows come first: random; those whose answer refuses in words; each topic in turn; those whose answer the base model finds least likely",
    )
    n_candidates: int | None = Field(None, ge=1, description="the hardest are looked for among so many safety rows, drawn at random; None is all")
    topics_left_out: list[str] = Field([], description="topics of safety rows that are never drawn")
    with_questions: bool = Field(
        False, description="only safety rows that have a question form, also where another is trained: so that forms are compared on the same rows"
    )
    n_contrast: int = Field(0, ge=0, le=1_000_000, description="harmless rows with alarming words, answered, added to the mix; the embedded corpus has some")
    order: Literal["mixed", "after"] = Field("mixed", description="safety and contrast rows shuffled among the general ones, or trained on after them")


class Settings(_Schema):
    """Everything that decides the result of a study."""

    preset: PresetName = Field("pocket", description="which set of defaults: smoke, classroom, pocket, course, paper, repository")
    data: str = Field("embedded", min_length=1, description="embedded, paper, paper-sample, or a folder of your own")
    general_data: str | None = Field(None, min_length=1, description="general rows from elsewhere: a source, a file or a Hugging Face id")
    safety_data: str | None = Field(None, min_length=1, description="safety rows from elsewhere: a source, a file or a Hugging Face id")
    base_model: str = Field("embedded", min_length=1, description="embedded, a Hugging Face id, or a local folder")
    quantization: Literal["none", "int8", "nf4"] = Field("none", description="how the frozen base model is held")
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto", description="number format of the base model; auto is bf16 where the machine multiplies it fast, else fp16 on a GPU and fp32 on a CPU"
    )
    n_general: int = Field(320, ge=1, le=1_000_000, description="general rows in every mix")
    safety_amounts: list[Annotated[int, Field(ge=0, le=1_000_000)]] = Field(
        [0, 25, 50, 100, 200], min_length=1, description="safety rows added to the general ones; one adapter for each"
    )
    safety_format: SafetyFormat = Field("instruction", description="form of the safety rows: instruction, question or mixed")
    seeds: list[Annotated[int, Field(ge=0, le=2**31 - 1)]] = Field([0], min_length=1, description="one adapter for each amount and seed")
    instruments: list[str] = Field(
        ["refusal-rules", "coherence"],
        min_length=1,
        description="what scores the answers, by name; the first says what a refusal is: refusal-rules, refusal or judge-refusal",
    )
    max_prompts: int | None = Field(None, ge=1, description="only the first so many prompts of each set; None is all")
    recipe: Recipe = Field(default_factory=Recipe, description="how an adapter is trained")
    mixing: Mixing = Field(default_factory=Mixing, description="which rows a mix is made of")
    decoding: Decoding = Field(default_factory=Decoding, description="how answers are generated")

    @field_validator("safety_amounts", "seeds")
    @classmethod
    def _distinct_and_sorted(cls, values: list[int]) -> list[int]:
        if len(set(values)) != len(values):
            raise ValueError("each value may stand only once")
        return sorted(values)


class Drafting(_Schema):
    """Everything that decides how new safety data is drafted."""

    mode: Literal["replay", "ask"] = Field("replay", description="replay recorded answers, with no key and no network; or ask a server")
    base_url: str = Field("http://127.0.0.1:8000/v1", min_length=1, description="address of an OpenAI-compatible server, up to and with /v1")
    model: str = Field("SmolLM2-135M-Instruct", min_length=1, description="the model's name, as that server knows it")
    questions: str = Field("embedded", min_length=1, description="embedded, or a file with a column 'question'")
    n_questions: int = Field(36, ge=1, le=100_000, description="questions to draft answers for")
    max_tokens: int = Field(96, ge=1, le=8192, description="longest drafted answer, in tokens")
    temperature: float = Field(0.0, ge=0, le=2, description="0 gives the likeliest answer")
    usd_per_million_in: float = Field(0.0, ge=0, description="the server's price of a million tokens that it reads, in USD")
    usd_per_million_out: float = Field(0.0, ge=0, description="the server's price of a million tokens that it writes, in USD")
    cap_usd: float = Field(1.0, ge=0, description="the most to spend; nothing is asked if it could cost more")
    reviews: list[str] | None = Field(None, description="reviews of the answers, files exported from the page; None is the recorded ones")
    form_reviews: list[str] | None = Field(None, description="reviews of the instruction forms, likewise")


class ScorerTraining(_Schema):
    """Everything that decides the training of a small harmfulness model beside the book's own."""

    preset: PresetName = Field("pocket", description="smoke takes a few rows; any other preset the defaults below")
    n_train: int = Field(160, ge=1, le=1_000_000, description="labelled answers to train on")
    n_test: int = Field(120, ge=1, le=1_000_000, description="labelled answers to other questions, to measure it on")
    epochs: int = Field(2, ge=1, le=100, description="passes over the training rows")
    learning_rate: float = Field(1e-3, gt=0, le=0.1, description="peak learning rate of AdamW")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="decides the adapter's start and the order of the rows")


# Decodings that have a name. The paper's repository meant to sample, but its flags never reached the call: it decoded
# with four beams and 128 new tokens, and drew nothing.
DECODINGS: dict[str, dict[str, Any]] = {
    "greedy": {"num_beams": 1},
    "paper": {"num_beams": 4, "max_new_tokens": 128},
}

# The size of the paper's study, which the presets `paper` and `repository` share.
_PAPER_SIZE: dict[str, Any] = {
    "data": "paper",
    "base_model": "huggyllama/llama-7b",
    "quantization": "int8",
    "n_general": 20_000,
    "safety_amounts": [0, 100, 300, 500, 1000, 1500, 2000],
    "decoding": DECODINGS["paper"] | {"batch_size": 8},
}

# What each preset changes from the defaults above, which are `pocket`.
PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {
        "n_general": 4,
        "safety_amounts": [0, 3],
        "max_prompts": 4,
        "recipe": {"epochs": 1, "batch_size": 12, "n_validation": 1, "evaluations": 1, "warmup_steps": 1},
        "mixing": {"n_candidates": 8},
        "decoding": {"max_new_tokens": 4},
    },
    # The main figure while a class watches: three amounts, fewer rows and prompts.
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
            "lora_rank": 4, "lora_dropout": 0.05, "epochs": 2, "batch_size": 32, "micro_batch_tokens": 2048, "learning_rate": 3e-4,
            "max_length": 384, "n_validation": 200,
        },
        "decoding": {"max_new_tokens": 128, "batch_size": 16},
    },
    "paper": _PAPER_SIZE | {
        "recipe": {
            "lora_rank": 4, "lora_dropout": 0.05, "epochs": 4, "batch_size": 128, "micro_batch_tokens": 2048, "learning_rate": 1e-4,
            "max_length": 512, "loss_on": "everything", "n_validation": 500, "validation": "from_mix",
            "evaluations": 12,
        },
    },
    # The defaults of the paper's repository, read in its code, where they differ from what the paper is said to have used.
    "repository": _PAPER_SIZE | {
        "recipe": {
            "lora_rank": 8, "lora_dropout": 0.05, "epochs": 3, "batch_size": 128, "micro_batch_tokens": 2048, "learning_rate": 3e-4,
            "max_length": 256, "loss_on": "everything", "n_validation": 2000, "validation": "from_mix", "evaluations": 17,
        },
    },
}  # fmt: skip


def resolve(**parameters: Any) -> Settings:
    """Return the checked settings of a study: the preset's, with the given parameters laid over them.

    Args:
        **parameters: any field of :class:`Settings`; ``None`` keeps the preset's value. ``recipe``, ``mixing`` and
            ``decoding`` may be dictionaries with only the entries that differ; ``decoding`` may be a name of :data:`DECODINGS`.

    Raises:
        SafetuneError: an unknown name, a wrong type or a value out of range, in one line that names the mend.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    preset = given.get("preset", "pocket")
    if preset not in PRESETS:
        raise SafetuneError(f"preset is {preset!r}: choose one of {', '.join(PRESETS)}")
    if isinstance(given.get("decoding"), str):
        given["decoding"] = _named_decoding(given["decoding"])
    merged: dict[str, Any] = {"preset": preset}
    for layer in (PRESETS[preset], given):
        for name, value in layer.items():
            both_maps = isinstance(merged.get(name), dict) and isinstance(value, dict)
            merged[name] = merged[name] | value if both_maps else value
    return _checked(Settings, merged)


def resolve_decoding(name: str = "greedy", **entries: Any) -> Decoding:
    """Return a named decoding with other entries laid over it; ``None`` keeps the named one's value.

    Raises:
        SafetuneError: an unknown name or entry, a wrong type or a value out of range, in one line that names the mend.
    """
    return _checked(Decoding, _named_decoding(name) | {key: value for key, value in entries.items() if value is not None})


def _named_decoding(name: str) -> dict[str, Any]:
    if name not in DECODINGS:
        raise SafetuneError(f"decoding is {name!r}: choose one of {', '.join(DECODINGS)}, or give its entries")
    return DECODINGS[name]


def resolve_drafting(**parameters: Any) -> Drafting:
    """Return the checked settings of drafting new safety data; ``None`` keeps a parameter's default.

    Raises:
        SafetuneError: an unknown name, a wrong type or a value out of range, in one line that names the mend.
    """
    return _checked(Drafting, {name: value for name, value in parameters.items() if value is not None})


def resolve_scorer_training(**parameters: Any) -> ScorerTraining:
    """Return the checked settings of training a small harmfulness model; ``None`` keeps a parameter's default.

    Raises:
        SafetuneError: an unknown name, a wrong type or a value out of range, in one line that names the mend.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    few = {"n_train": 8, "n_test": 8} if given.get("preset") == "smoke" else {}
    return _checked(ScorerTraining, few | given)


def shown_name(source: str) -> str:
    """A folder or file by its own name: where it lies on a machine concerns nobody else. Other sources as they are."""
    return Path(source).name if Path(source).is_absolute() else source


def _checked(schema: type[_Kind], values: dict[str, Any]) -> _Kind:
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise SafetuneError(_one_line(error, schema)) from None


def _one_line(error: ValidationError, schema: type[BaseModel]) -> str:
    """The first fault of a validation error, as one sentence with its mend."""
    fault = error.errors()[0]
    path = [part for part in fault["loc"] if isinstance(part, str)]
    if not path:  # a rule of the whole, not of one entry
        return fault["msg"].removeprefix("Value error, ")
    name = ".".join(path)
    for part in path[:-1]:
        schema = {"recipe": Recipe, "mixing": Mixing, "decoding": Decoding}[part]
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(path[-1], schema.model_fields, n=1)
        mend = f"did you mean '{close[0]}'?" if close else f"choose from {', '.join(schema.model_fields)}"
        return f"unknown parameter '{name}': {mend}"
    reason = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    meaning = schema.model_fields[path[-1]].description
    return f"parameter '{name}' is {fault['input']!r}, but it {_verb(reason)}; it is: {meaning}"


def _verb(reason: str) -> str:
    return reason if reason.startswith("should") else f"breaks a rule: {reason}"
