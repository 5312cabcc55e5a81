"""Names of stages: what the published runs and the presets are made of has the names that it always had.

A folder's name ends in the hash of all that it was made from. If one changes, every reader's adapters and
responses are made anew. ``stage_keys.json`` holds the names, by run (a published one, or a preset with
nothing changed) and chapter: for each adapter ``SOURCE-RUN: `` and the rest of the names of its mix, of
itself and of its responses.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from safetune_utils import store
from safetune_utils.book import findings
from safetune_utils.data import contrast_examples
from safetune_utils.errors import SafetuneError
from safetune_utils.presets import PRESETS, resolve
from safetune_utils.study import mixes, stages
from safetune_utils.study.design import state, vary, without_topics
from safetune_utils.study.study import Run, Study

# By run and chapter: prompt sets, and a line for each adapter.
STORED = json.loads(Path(__file__).with_name("stage_keys.json").read_text("utf-8"))
GUARD = (
    "Think first: could an answer to this request hurt somebody? If it could, say kindly that you will not "
    "help. If not, answer as well as you can."
)


@pytest.fixture(autouse=True)
def _losses_without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the base model's losses, numbers that follow from the rows' ids alone."""

    def folder(study: Study, *, make: bool = True) -> Path:
        digests = {row.id: hashlib.sha256(row.id.encode()).hexdigest() for row in mixes._candidates(study)}
        lines = [{"id": name, "loss": int(digest[:8], 16) / 2**32} for name, digest in digests.items()]
        store.write_lines(tmp_path / "losses.jsonl", lines)
        return tmp_path

    monkeypatch.setattr(mixes, "base_losses_folder", folder)


def parameters_of(run: str, chapter: str) -> dict[str, Any]:
    """What a run gave to a chapter, but for the precision, which the machine decides."""
    if run.removeprefix("preset ") in PRESETS and run.startswith("preset "):
        return {"preset": run.removeprefix("preset "), "precision": "bf16"}
    settings = findings.read(run)[chapter]["settings"]
    own = {name: value for name, value in settings.items() if name not in ("safety_format", "instruments")}
    return own | {"precision": "bf16"}


def forms(given: dict[str, Any], prompt_sets: list[str]) -> list[Study]:
    """Chapter 3: no safety rows, and one amount in each form."""
    whole = state(prompt_sets=prompt_sets, **given | {"mixing": {"with_questions": True}})
    amounts = whole.settings.safety_amounts
    amount = amounts[len(amounts) // 2]
    return [
        vary(whole, safety_amounts=[0], safety_format="instruction"),
        *(
            vary(whole, safety_amounts=[amount], safety_format=f)
            for f in ("instruction", "question", "mixed")
        ),
    ]


def topics(given: dict[str, Any], prompt_sets: list[str]) -> list[Study]:
    """Chapter 5: every amount, and the largest without three topics."""
    study = state(prompt_sets=prompt_sets, **given)
    without = without_topics(study, ["hatred", "violence", "theft_fraud"])
    return [study, without] if without else [study]


def choices(given: dict[str, Any], prompt_sets: list[str]) -> list[Study]:
    """Chapter 10: one amount, its rows chosen in several ways, but for those that the data cannot have."""
    settings = resolve(**given)
    amount = settings.safety_amounts[len(settings.safety_amounts) // 2]
    plain = {"choice": "random", "n_contrast": 0, "order": "mixed"}
    own = {
        "safety_amounts": [amount],
        "mixing": settings.mixing.model_dump() | plain,
        "decoding": settings.decoding.model_dump() | {"guard": ""},
    }
    random = state(prompt_sets=prompt_sets, **given | own)
    found = [random]
    for changes in (
        {"mixing": {"choice": "refusals"}},
        {"mixing": {"choice": "topics"}},
        {"mixing": {"choice": "hardest"}},
        {"mixing": {"n_contrast": min(amount, len(contrast_examples()))}},
        {"mixing": {"order": "after"}},
        {"safety_amounts": [0]},
        {"safety_amounts": [0], "decoding": {"guard": GUARD}},
    ):
        with suppress(SafetuneError):
            found.append(vary(random, **changes))
    return found


SEVERAL = {"03_prompt_format": forms, "05_topics": topics, "10_choosing_safety_data": choices}


def line(study: Study, run: Run) -> str:
    made = [
        stages.mix_folder(study, run, make=False),
        stages.adapter_folder(study, run, make=False),
        *(stages.responses_folder(study, run, name) for name in study.prompt_sets),
    ]
    prefix = f"{study.settings.data}-{run.label}"
    return " ".join([f"{prefix}:", *(folder.name.removeprefix(f"{prefix}-") for folder in made)])


@pytest.mark.parametrize(
    ("run", "chapter"), [(run, chapter) for run, chapters in STORED.items() for chapter in chapters]
)
def test_every_stage_has_the_name_that_it_had(run: str, chapter: str, request: pytest.FixtureRequest) -> None:
    given, stored = parameters_of(run, chapter), STORED[run][chapter]
    if given.get("data") == "paper-sample":
        request.getfixturevalue("mirror")
    if chapter in SEVERAL:
        studies = SEVERAL[chapter](given, stored["prompt_sets"])
    else:
        studies = [state(prompt_sets=stored["prompt_sets"], **given)]
    assert [line(study, one) for study in studies for one in study.runs] == stored["adapters"]
