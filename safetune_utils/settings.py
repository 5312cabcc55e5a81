"""The schema of a study's settings: one for the notebooks, the command line and the pages.

:func:`safetune_utils.presets.resolve` makes such settings from a preset and the parameters that differ from
it, and checks everything before any costly work starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from safetune_utils import secrets, strict_json
from safetune_utils.errors import SafetuneError, did_you_mean

PresetName = Literal["smoke", "classroom", "pocket", "course", "paper", "repository"]
SafetyFormat = Literal["instruction", "question", "mixed"]
# How a careful person sees a refusal of a prompt.
RefusalIs = Literal["wanted", "unwanted", "safe, not needed", "not said"]
# The layers of a Llama, and of most models since, that get an adapter.
USUAL_TARGETS = ["q_proj", "v_proj"]
_Kind = TypeVar("_Kind", bound=BaseModel)
# A name that is not empty.
Name = Annotated[str, Field(min_length=1)]


class Schema(BaseModel):
    """What all settings share: unknown names and wrong types are errors, and no value can be changed."""

    # Strict: "100" is not a number and 1.0 is not a count, so a typing error is reported and not guessed at.
    # Nor is what is no number, or infinite, a setting: it would spoil all that is computed with it.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Recipe(Schema):
    """How an adapter is trained."""

    lora_rank: int = Field(8, ge=1, le=256, description="rank of the LoRA matrices")
    lora_alpha: float = Field(
        16, gt=0, le=1024, description="LoRA scaling; the update is multiplied by alpha / rank"
    )
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the adapter's input")
    target_modules: list[Name] | None = Field(
        None,
        min_length=1,
        description=(
            "layers that get an adapter; None takes PEFT's default for the architecture: q_proj and v_proj "
            "for most, query_key_value for Falcon"
        ),
    )
    epochs: int = Field(2, ge=1, le=100, description="passes over the mix")
    batch_size: int = Field(8, ge=1, le=4096, description="effective batch, in rows, of one optimiser step")
    micro_batch_tokens: int = Field(
        1024,
        ge=1,
        le=10_000_000,
        description="tokens in memory at once, padding included; changes memory, not the mathematics",
    )
    learning_rate: float = Field(2e-3, gt=0, le=0.1, description="peak learning rate of AdamW")
    warmup_steps: int = Field(
        10, ge=0, le=100_000, description="steps of linear warm-up, followed by linear decay to 0"
    )
    max_length: int = Field(
        256, ge=16, le=131_072, description="cut-off length in tokens, prompt and answer together"
    )
    loss_on: Literal["answer", "everything"] = Field(
        "answer", description="tokens that are learned: the answer only, or the prompt too (the paper's way)"
    )
    n_validation: int = Field(
        40, ge=1, le=100_000, description="rows held out to measure the validation loss"
    )
    validation: Literal["apart", "from_mix"] = Field(
        "apart",
        description=(
            "where they come from: general rows apart from every mix, with safety rows added in the mix's "
            "proportion; or out of the mix itself (the paper's way)"
        ),
    )
    evaluations: int = Field(
        4, ge=1, le=1000, description="times the validation loss is measured; the lowest is kept"
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="stop after so many measurements without a lower validation loss; None never stops early",
    )

    @field_validator("target_modules")
    @classmethod
    def _distinct(cls, values: list[str] | None) -> list[str] | None:
        if values and len(set(values)) != len(values):
            raise ValueError("each value may occur only once")
        return values

    @model_validator(mode="after")
    def _patience_can_end(self) -> Recipe:
        if self.patience is not None and self.patience >= self.evaluations:
            raise ValueError(
                f"patience is {self.patience}, and the loss is measured {self.evaluations} times: it "
                "would never end the training; lower patience, raise evaluations, or leave patience away"
            )
        return self


class Decoding(Schema):
    """How answers are generated. By default nothing is sampled: the same adapter gives the same answers."""

    num_beams: int = Field(1, ge=1, le=64, description="1 is greedy; the paper's repository used 4 beams")
    max_new_tokens: int = Field(64, ge=1, le=8192, description="longest answer, in tokens")
    batch_size: int = Field(96, ge=1, le=4096, description="prompts answered at once")
    temperature: float = Field(
        0.0, ge=0, le=2, description="0 takes the likeliest token; above 0 draws, the more freely the higher"
    )
    guard: str = Field("", max_length=2000, description="a text put before every instruction; '' is none")
    sampling_seed: int = Field(
        0, ge=0, le=2**31 - 1, description="decides what is drawn at a temperature above 0"
    )

    @field_validator("guard")
    @classmethod
    def _is_readable(cls, text: str) -> str:
        if text and not text.strip():
            raise ValueError("it is only spaces: leave it empty for no guard")
        if any(not (one.isprintable() or one in "\n\t") for one in text):
            raise ValueError("it holds a character that nobody can see: take it out")
        return text

    @model_validator(mode="after")
    def _beams_do_not_draw(self) -> Decoding:
        if self.temperature > 0 and self.num_beams > 1:
            raise ValueError(
                "temperature and num_beams do not go together: set temperature to 0, or num_beams to 1"
            )
        return self


class Mixing(Schema):
    """Which rows a mix is made of, beyond how many.

    By default safety rows are drawn at random from all topics.
    """

    choice: Literal["random", "refusals", "topics", "hardest"] = Field(
        "random",
        description=(
            "which safety rows come first: random; those whose answer refuses in words; each topic in turn; "
            "those whose answer the base model finds least likely"
        ),
    )
    n_candidates: int | None = Field(
        None,
        ge=1,
        description="the hardest are looked for among so many safety rows, drawn at random; None is all",
    )
    topics_left_out: list[Name] = Field([], description="topics of safety rows that are never drawn")
    with_questions: bool = Field(
        False,
        description=(
            "only safety rows that have a question form, also where another is trained: so that forms are "
            "compared on the same rows"
        ),
    )
    n_contrast: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description=(
            "harmless rows with alarming words, answered, added to the mix; the embedded corpus has some"
        ),
    )
    order: Literal["mixed", "after"] = Field(
        "mixed",
        description="safety and contrast rows shuffled among the general ones, or trained on after them",
    )


# What a column of a user's file may be; `prompt` is another word for instruction, `response` for output.
ColumnName = Literal[
    "instruction", "prompt", "input", "output", "response", "question", "id", "topic", "kind", "label", "pair"
]


class Reading(Schema):
    """How files of the user's own are read, where that is not certain from the files."""

    columns: dict[ColumnName, Name] = Field(
        {}, description="columns that have other names in your files: {'instruction': 'goal'}"
    )
    words_for_nothing: Literal["ask", "keep", "drop"] = Field(
        "ask",
        description=(
            "what an input means that is only a word such as nan, None or NA: ask stops and asks; keep takes"
            " the word; drop takes it for no input"
        ),
    )


class OwnPromptSet(Schema):
    """A prompt set of the user's own, in a file."""

    file: str = Field(min_length=1, description="a file of prompts, or a Hugging Face id")
    columns: dict[ColumnName, Name] = Field(
        {}, description="columns of this file that have other names, in place of those of reading"
    )
    a_refusal_is: RefusalIs = Field(
        "not said", description="how a careful person sees a refusal of these prompts"
    )


class Settings(Schema):
    """Everything that decides the result of a study."""

    preset: PresetName = Field(
        "pocket",
        description="which set of defaults: auto, smoke, classroom, pocket, course, paper, repository",
    )
    data: str = Field(
        "embedded", min_length=1, description="embedded, paper, paper-sample, or a folder of your own"
    )
    general_data: str | None = Field(
        None, min_length=1, description="general rows from elsewhere: a source, a file or a Hugging Face id"
    )
    safety_data: str | None = Field(
        None, min_length=1, description="safety rows from elsewhere: a source, a file or a Hugging Face id"
    )
    base_model: str = Field(
        "embedded",
        min_length=1,
        description="embedded, a Hugging Face id (also with @ and a revision), or a local folder",
    )
    revision: str | None = Field(
        None,
        min_length=1,
        description="commit, tag or branch of a Hugging Face base model; None is its main branch",
    )
    template: Literal["alpaca", "chat"] = Field(
        "alpaca",
        description=(
            "the form that instructions have in training and answering; chat is that of the base model's own "
            "tokenizer"
        ),
    )
    quantization: Literal["none", "int8", "nf4"] = Field(
        "none", description="how the frozen base model is held"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="what models are computed on; auto is a GPU (cuda) where this machine has one"
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto",
        description=(
            "number format of the base model; auto is bf16 where this machine multiplies it fast, else fp16 "
            "on a GPU and fp32 on a CPU"
        ),
    )
    n_general: int = Field(320, ge=1, le=1_000_000, description="general rows in every mix")
    safety_amounts: list[Annotated[int, Field(ge=0, le=1_000_000)]] = Field(
        [0, 25, 50, 100, 200],
        min_length=1,
        description="safety rows added to the general ones; one adapter for each",
    )
    safety_format: SafetyFormat = Field(
        "instruction", description="form of the safety rows: instruction, question or mixed"
    )
    seeds: list[Annotated[int, Field(ge=0, le=2**31 - 1)]] = Field(
        [0], min_length=1, description="one adapter for each amount and seed"
    )
    instruments: list[str] = Field(
        ["refusal-rules", "coherence"],
        min_length=1,
        description=(
            "what scores the answers, by name; the first says what a refusal is: refusal-rules, refusal or "
            "judge-refusal"
        ),
    )
    own_prompt_sets: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")], OwnPromptSet] = Field(
        {},
        description=(
            "prompt sets of your own by name: a file each, or {'file': ..., 'a_refusal_is': 'wanted'}; under"
            " a name of the book's it takes that set's place"
        ),
    )
    reading: Reading = Field(
        default_factory=Reading, description="how files of your own are read: other names of columns"
    )
    max_prompts: int | None = Field(
        None, ge=1, description="only the first so many prompts of each set; None is all"
    )
    recipe: Recipe = Field(default_factory=Recipe, description="how an adapter is trained")
    mixing: Mixing = Field(default_factory=Mixing, description="which rows a mix is made of")
    decoding: Decoding = Field(default_factory=Decoding, description="how answers are generated")

    @field_validator("safety_amounts", "seeds")
    @classmethod
    def _distinct_and_sorted(cls, values: list[int]) -> list[int]:
        if len(set(values)) != len(values):
            raise ValueError("each value may occur only once")
        return sorted(values)

    @field_validator("own_prompt_sets", mode="before")
    @classmethod
    def _a_file_alone_is_enough(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: {"file": one} if isinstance(one, str) else one for name, one in given.items()}


def off_default(settings: BaseModel) -> dict[str, Any]:
    """The entries of some settings that differ from their defaults, as plain values.

    This is what goes into the key of a stage: an entry that is added later, with the default that does what
    was done before, renames nothing. So the usual layers of an adapter are in no key: they were the default
    before a model could have others.
    """
    entries = settings.model_dump(exclude_defaults=True)
    if entries.get("target_modules") == USUAL_TARGETS:
        del entries["target_modules"]
    return entries


def name_and_revision(base_model: str) -> tuple[str, str | None]:
    """The two parts of ``org/name@revision``; any other name is whole, and its revision ``None``."""
    name, at, revision = base_model.rpartition("@")
    is_id = at and name and revision and not Path(base_model).expanduser().exists()
    return (name, revision) if is_id else (base_model, None)


def shown_name(source: str) -> str:
    """A source as pages show it: of a folder or file only its own name, not where it is on this machine; any
    other source as it is.
    """
    return Path(source).name if Path(source).is_absolute() else source


def read_texts(values: Mapping[str, Any], schema: type[BaseModel]) -> dict[str, Any]:
    """Parameters with those read as JSON that came as a text and are lists or groups of entries: papermill's
    ``-p`` hands ``'[0, 3]'`` on as it was typed.

    Raises:
        SafetuneError: such a text is not JSON.
    """
    found = dict(values)
    for name, value in values.items():
        field = schema.model_fields.get(name)
        is_text = field is None or field.annotation in (str, str | None)
        if not is_text and isinstance(value, str) and value.lstrip().startswith(("[", "{")):
            try:
                found[name] = strict_json.parse(value)
            except strict_json.JsonFault as fault:
                raise SafetuneError(
                    f"parameter '{name}' is {value[:60]!r}, which is not JSON ({fault}): write it as in "
                    '[0, 100] or {"epochs": 1}, texts in double quotes'
                ) from None
    return found


def checked(schema: type[_Kind], values: Mapping[str, object]) -> _Kind:
    """Return the settings of a schema that have these values.

    Raises:
        SafetuneError: a key among the values, an unknown name, a wrong type or a value out of range, in one
            line that says how to correct it.
    """
    # Before anything else: what a wrong value is told with repeats it, and settings are written to records.
    if name := secrets.named_in(values):
        raise SafetuneError(
            f"parameter '{name}' holds a key, or what looks like one: take it out, and put it into an "
            "environment variable such as OPENAI_API_KEY"
        )
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise SafetuneError(_one_line(error, schema)) from None


def _one_line(error: ValidationError, schema: type[BaseModel]) -> str:
    """The first fault of a validation error, as one sentence that says how to correct it."""
    fault = error.errors()[0]
    path = [part for part in fault["loc"] if isinstance(part, str) and part != "[key]"]
    if not path:  # a rule of the whole, not of one entry
        return fault["msg"].removeprefix("Value error, ")
    name = ".".join(path)
    for part in path[:-1]:
        schema = _inside(schema, part)
    if fault["type"] == "extra_forbidden":
        advice = did_you_mean(path[-1], schema.model_fields, otherwise="choose from")
        return f"unknown parameter '{name}': {advice}"
    reason = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    field = schema.model_fields.get(path[-1])
    meaning = f"; it is: {field.description}" if field else ""
    given = repr(fault["input"])
    given = given if len(given) <= 80 else f"{given[:50]}…{given[-29:]}"
    return f"parameter '{name}' is {given}, but it {_verb(reason)}{meaning}"


def _inside(schema: type[BaseModel], part: str) -> type[BaseModel]:
    """The schema of the group that a field holds; the same where ``part`` is a name within a group."""
    field = schema.model_fields.get(part)
    if field is None:
        return schema
    kinds = (field.annotation, *get_args(field.annotation))
    return next((one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)), schema)


def _verb(reason: str) -> str:
    return reason if reason.startswith("should") else f"breaks a rule: {reason}"
