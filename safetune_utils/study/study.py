"""What is asked: which adapters, answering which prompts. A study is data; nothing here trains, generates or
scores.

The road of one adapter: mix -> adapter -> responses -> scores. Every station is a stage of the run store,
known by what it was made from, so two notebooks that ask for the same adapter share it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from safetune_utils import data
from safetune_utils.data.mix import Mix
from safetune_utils.machine.device import planned
from safetune_utils.models.identity import identity
from safetune_utils.settings import Settings
from safetune_utils.store import Facts


@dataclass(frozen=True)
class Run:
    """One adapter: its seed and its amount of safety data."""

    n_safety: int
    seed: int

    @property
    def label(self) -> str:
        """A readable name: ``n100-seed0``."""
        return f"n{self.n_safety}-seed{self.seed}"


@dataclass(frozen=True)
class Study:
    """The grid of an experiment: one adapter for each amount and seed, answering each prompt set.

    State it with :func:`safetune_utils.study.design.state`, look at what is left with
    :func:`safetune_utils.study.plan.plan`, then run it with :func:`safetune_utils.study.run.run`.

    Attributes:
        settings: everything that decides the result.
        prompt_sets: names from :data:`safetune_utils.data.PROMPT_SETS`.
        read_as: prompt sets whose responses the study's instrument of harm
            (:func:`safetune_utils.scoring.readings.harm_scale`) reads once more, each by the set with the
            same requests in another form that it reads instead.
        side_effects: what each adapter is measured by besides:
            :data:`safetune_utils.study.side_effects.REFERENCE_LOSSES`, or one of
            :func:`safetune_utils.scoring.capability.task_names`.
        controls: prompt sets that the untuned model is asked too, and with that whether the study's
            instruments have negative controls, see :mod:`safetune_utils.study.controls`.
        drawn, row_keys: the mixes drawn so far and the hashes of their rows, so that each is made once;
            :mod:`safetune_utils.study.mixes` fills them.
        asked: the prompts of each set read so far.
    """

    settings: Settings
    prompt_sets: tuple[str, ...]
    read_as: dict[str, str] = field(default_factory=dict)
    side_effects: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    drawn: dict[Run, Mix] = field(default_factory=dict, init=False, repr=False, compare=False)
    row_keys: dict[Run, Facts] = field(default_factory=dict, init=False, repr=False, compare=False)
    asked: dict[str, list[data.Prompt]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def runs(self) -> list[Run]:
        """Every adapter, seed by seed, by growing amount."""
        return [Run(n, seed) for seed in self.settings.seeds for n in self.settings.safety_amounts]

    @cached_property
    def general(self) -> list[data.Example]:
        """The pool of general rows."""
        s = self.settings
        return data.general_examples(s.general_data or s.data, reading=s.reading)

    @cached_property
    def safety(self) -> list[data.Example]:
        """The pool of safety rows."""
        s = self.settings
        questions = s.safety_format != "instruction" or s.mixing.with_questions
        return data.safety_examples(self.safety_source, questions=questions, reading=s.reading)

    @cached_property
    def contrast(self) -> list[data.Example]:
        """The pool of harmless rows with alarming words; only the embedded corpus has some."""
        return data.contrast_examples() if self.settings.data == "embedded" else []

    @property
    def safety_source(self) -> str:
        """Where the safety rows come from."""
        return self.settings.safety_data or self.settings.data

    @cached_property
    def base_identity(self) -> str:
        """What stands for the base model in a stage's inputs, see
        :func:`safetune_utils.models.identity.identity`.
        """
        return identity(self.settings.base_model, revision=self.settings.revision)

    @cached_property
    def arithmetic(self) -> str:
        """The planned device and number format, such as ``cpu-bf16`` or ``cuda-fp16``."""
        return "-".join(planned(device=self.settings.device, precision=self.settings.precision))

    @cached_property
    def ready_made(self) -> dict[int, set[str] | None]:
        """Ids of the safety rows in the paper's ready-made mixes, by amount, where this study asks for the
        paper's mixes.
        """
        s = self.settings
        others = (
            s.safety_format != "instruction"
            or s.mixing.choice != "random"
            or s.mixing.topics_left_out
            or s.mixing.with_questions
        )
        if self.safety_source != "paper" or s.recipe.validation != "from_mix" or others:
            return {}
        return {n: data.paper_safety_ids(n) for n in s.safety_amounts}

    def n_rows(self, run: Run) -> int:
        """Rows in an adapter's mix, of every kind."""
        return self.settings.n_general + run.n_safety + self.settings.mixing.n_contrast

    def prompts(self, prompt_set: str) -> list[data.Prompt]:
        """The prompts of a set, as many as the settings allow."""
        if prompt_set not in self.asked:
            self.asked[prompt_set] = data.prompts_of(self.settings, prompt_set)[: self.settings.max_prompts]
        return self.asked[prompt_set]
