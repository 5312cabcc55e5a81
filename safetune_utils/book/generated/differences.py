"""The method page's table of deliberate differences from the paper, made from the presets."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from safetune_utils.book.markup import Cell, Code, Row, block, table
from safetune_utils.models.embedded import GGUF_FORMAT
from safetune_utils.models.identity import title
from safetune_utils.presets import resolve
from safetune_utils.settings import USUAL_TARGETS, Settings

# How the paper's values are known, in words.
_TEXT = "quoted by someone who had the text"
_SCRIPT = "by a third party's script that presents it as the paper's"
_REPOSITORY = "its repository's; the paper's is not known"


class _Difference(NamedTuple):
    """A line of the table.

    Attributes:
        about: what differs.
        settings: the settings that it shows, by their names, those of a group with it: ``recipe.epochs``.
        shown: the value that these settings have, in words.
        known: how the paper's value is known; empty where its authors' own files say it.
    """

    about: str
    settings: tuple[str, ...]
    shown: Callable[[Settings], str]
    known: str = ""


def _held(s: Settings) -> str:
    if s.base_model == "embedded":
        return f"published in 4 bits ({GGUF_FORMAT}), read once into bf16"
    return {"int8": "in 8 bits", "nf4": "in 4 bits (NF4)", "none": "not quantised"}[s.quantization]


def _general(s: Settings) -> str:
    source = {"paper": "of cleaned Alpaca", "embedded": "of our own"}[s.data]
    return f"{s.n_general:,} {source}"


def _safety(s: Settings) -> str:
    most = s.safety_amounts[-1]
    return f"up to {most:,}, share up to {most / (s.n_general + most):.0%}".replace("%", " %")


def steps(s: Settings, *, n_safety: int) -> int:
    """Steps of the optimiser in one training run: all epochs, each with a last batch that may be smaller."""
    held_out = s.recipe.n_validation if s.recipe.validation == "from_mix" else 0
    rows = s.n_general + n_safety - held_out
    return s.recipe.epochs * math.ceil(rows / s.recipe.batch_size)


def _steps(s: Settings) -> str:
    return " to ".join(f"{steps(s, n_safety=n):,}" for n in (s.safety_amounts[0], s.safety_amounts[-1]))


def _decoding(s: Settings) -> str:
    beams = "greedy" if s.decoding.num_beams == 1 else f"{s.decoding.num_beams} beams"
    return f"{beams}, at most {s.decoding.max_new_tokens} tokens"


def _validation(s: Settings) -> str:
    where = {"from_mix": "out of the mix", "apart": "apart from every mix"}[s.recipe.validation]
    return f"{s.recipe.n_validation:,}, {where}"


DIFFERENCES = (
    _Difference("base model", ("base_model",), lambda s: title(s.base_model)),
    _Difference("its weights are held", ("quantization", "base_model"), _held),
    _Difference("general examples", ("data", "n_general"), _general),
    _Difference("safety examples", ("safety_amounts",), _safety),
    _Difference("adapter's rank", ("recipe.lora_rank",), lambda s: str(s.recipe.lora_rank), _SCRIPT),
    _Difference("its alpha", ("recipe.lora_alpha",), lambda s: f"{s.recipe.lora_alpha:g}"),
    _Difference("its dropout", ("recipe.lora_dropout",), lambda s: f"{s.recipe.lora_dropout:g}"),
    _Difference(
        "its layers",
        ("recipe.target_modules",),
        lambda s: ", ".join(s.recipe.target_modules or USUAL_TARGETS),
    ),
    _Difference("epochs", ("recipe.epochs",), lambda s: str(s.recipe.epochs), _TEXT),
    _Difference("rows in a batch", ("recipe.batch_size",), lambda s: str(s.recipe.batch_size), _TEXT),
    _Difference(
        "steps, with the fewest and the most safety examples",
        ("recipe.epochs", "recipe.batch_size", "n_general", "safety_amounts"),
        _steps,
        "follows from the others",
    ),
    _Difference("learning rate", ("recipe.learning_rate",), lambda s: f"{s.recipe.learning_rate:g}", _SCRIPT),
    _Difference("cut-off in tokens", ("recipe.max_length",), lambda s: str(s.recipe.max_length), _SCRIPT),
    _Difference(
        "loss on",
        ("recipe.loss_on",),
        lambda s: {"everything": "prompt and answer", "answer": "the answer"}[s.recipe.loss_on],
        _REPOSITORY,
    ),
    _Difference("validation rows", ("recipe.n_validation", "recipe.validation"), _validation, _SCRIPT),
    _Difference(
        "the adapter kept has the lowest loss of",
        ("recipe.evaluations",),
        lambda s: f"{s.recipe.evaluations} measurements",
        "one each 50 steps or so, quoted by someone who had the text",
    ),
    _Difference("decoding", ("decoding.num_beams", "decoding.max_new_tokens"), _decoding, _REPOSITORY),
)


def parts() -> dict[str, str]:
    """What the method page includes, by name, as Markdown."""
    paper, repository, pocket = (resolve(preset=name) for name in ("paper", "repository", "pocket"))
    rows: list[Row] = []
    for one in DIFFERENCES:
        shown = [one.shown(settings) for settings in (paper, repository, pocket)]
        if len(set(shown)) > 1:
            rows.append((one.about, Cell(shown[0], below=one.known), *shown[1:]))
    rows.append(("main instrument", "a harmfulness reward model", "the same", Code(pocket.instruments[0])))
    columns = (
        "",
        ("the paper (preset ", Code("paper"), ")"),
        ("its repository's defaults (preset ", Code("repository"), ")"),
        ("this book (preset ", Code("pocket"), ")"),
    )
    return {"differences": block(table(columns, rows, wide=True))}
