"""What an estimate holds, as typed dictionaries. Bytes, seconds, operations and tokens have no prefix."""

from __future__ import annotations

from typing import Any, TypedDict

from safetune_utils.models.architecture import ParameterCounts


class AdapterCounts(TypedDict):
    """One adapter of a study: its amount of safety rows, its seed, and its rows to train and to validate."""

    n_safety: int
    seed: int
    rows: int
    validation_rows: int


class TrainingCounts(TypedDict):
    """Rows and tokens of a study's training.

    Attributes:
        tokens: by kind of row (``general``, ``safety``, ``contrast``), the mean number of tokens of a row.
        learned: by kind of row, how many of them are learned, on average.
        longest: tokens of the longest row.
        counted: kinds of rows that were counted; the numbers of the others are assumed.
        tokenizer: the tokenizer that counted, in words; ``None`` where none was available.
        adapters: one for each amount and seed.
    """

    tokens: dict[str, float]
    learned: dict[str, float]
    longest: int
    counted: list[str]
    tokenizer: str | None
    adapters: list[AdapterCounts]


class PromptTokens(TypedDict):
    """Tokens of prompts: the mean, the longest, and how many tokens all of them begin with."""

    tokens: float
    longest: int
    shared: int


class PromptCounts(PromptTokens):
    """Prompts of a study.

    Attributes:
        sets: how many prompts of each set are answered.
        counted: sets whose texts were read; where there are none, the tokens are assumed.
        controls: how many answers of the untuned model the negative controls take.
    """

    sets: dict[str, int]
    counted: list[str]
    controls: int


class TrainingTime(TypedDict):
    """Tokens and operations of training one adapter, and seconds of training and validating it."""

    tokens: float
    operations: float
    training: float
    validating: float


class AdapterTime(AdapterCounts, TrainingTime):
    """One adapter of a study: its rows, and what training it takes."""


class StepSeconds(TypedDict):
    """Seconds of one decoding step, by what takes them.

    ``all`` is the larger of ``weights`` and ``arithmetic``, plus ``cache`` and ``overhead``.
    """

    weights: float
    arithmetic: float
    cache: float
    overhead: float
    all: float


class MemoryReport(TypedDict):
    """Bytes of training and of answering.

    Attributes:
        training, answering: bytes at the peak, by what they hold.
        totals: the sum of each.
        peak: ``training`` or ``answering``, whichever takes more.
        peak_bytes: what that takes.
        usable_bytes: what the hardware has for it.
        fits: whether that is enough.
        mend: the smallest change that fits, as options of the command line; ``None`` where all fits.
    """

    training: dict[str, float]
    answering: dict[str, float]
    totals: dict[str, float]
    peak: str
    peak_bytes: float
    usable_bytes: float
    fits: bool
    mend: str | None


class TimeReport(TypedDict):
    """Seconds of a study.

    Attributes:
        adapters: one entry for each.
        answering, loading: of one adapter.
        controls: of the untuned model's answers, which the negative controls of a study need, in both forms.
        study: of everything.
    """

    adapters: list[AdapterTime]
    answering: float
    loading: float
    controls: float
    study: float


class Rates(TypedDict):
    """What one unit takes: operations of a token, bytes of a parameter and of a token, a decoding step."""

    operations: dict[str, dict[str, float]]
    parameter_bytes: float
    activation_bytes_of_a_token_in_a_layer: int
    cache_bytes_of_a_token: int
    step_seconds: StepSeconds


class Numbers(TypedDict):
    """The numbers of an estimate.

    Attributes:
        settings: of the study.
        hardware: the fields of :class:`~safetune_utils.estimate.hardware.Hardware`.
        parameters: of the base model and of an adapter.
        shape: the fields of :class:`~safetune_utils.models.architecture.Architecture`, without its matrices.
        rows, prompts: what is trained on and answered.
        per: what one unit takes.
        memory, time: of the study.
        disk: bytes, by what they hold.
    """

    settings: dict[str, Any]
    hardware: dict[str, Any]
    parameters: ParameterCounts
    shape: dict[str, Any]
    rows: TrainingCounts
    prompts: PromptCounts
    per: Rates
    memory: MemoryReport
    time: TimeReport
    disk: dict[str, float]


class Estimate(Numbers):
    """An estimate: its numbers, the lines of text that say what was assumed, and the verdict in one line."""

    assumed: list[str]
    verdict: str
