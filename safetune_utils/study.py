"""A study: which adapters, answering which prompts; it runs what is missing and returns one tidy table.

The road of one adapter: mix -> adapter -> responses -> scores. Every station is a stage of the run store, known by
what it was made from, so two notebooks that ask for the same adapter share it.
"""

from __future__ import annotations

import contextlib
import csv
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from safetune_utils import data, finetune, generate, instruments, mixtures, models, parallel, prompts, records, reference_loss, shapes, vllm_engine
from safetune_utils.errors import SafetuneError
from safetune_utils.settings import Settings, resolve

# Bumped when a stage would give another result from the same inputs.
_STAGE_VERSIONS = {"base_losses": 1, "mixes": 1, "adapters": 2, "responses": 2, "scores": 3}

# For the estimate before anything was measured on this machine: two cores with bf16, the embedded model.
_GUESSED_TOKENS_PER_SECOND = 900.0
_GUESSED_ANSWERS_PER_SECOND = 15.0
_GUESSED_TOKENS_PER_ROW = 95

# Rows times epochs from which an adapter gets a process of its own; for less, starting one costs more than it saves.
_APART_FROM_ROWS = 300


@dataclass(frozen=True)
class Run:
    """One adapter: its seed and its amount of safety data."""

    n_safety: int
    seed: int

    @property
    def label(self) -> str:
        return f"n{self.n_safety}-seed{self.seed}"


@dataclass(frozen=True)
class Study:
    """The grid of an experiment: one adapter for each amount and seed, answering each prompt set.

    State it, look at it (``study`` shows what is there already and what is left), then ``run`` it.
    """

    settings: Settings
    prompt_sets: tuple[str, ...]

    @classmethod
    def safety_amount(cls, *, prompt_sets: list[str], **parameters: Any) -> Study:
        """A study of how much safety data to add.

        Args:
            prompt_sets: names from :data:`safetune_utils.data.PROMPT_SETS`.
            **parameters: see :class:`safetune_utils.settings.Settings`; ``None`` keeps the preset's value.

        Raises:
            SafetuneError: a parameter is wrong, or the data does not have what is asked for, before anything is trained.
        """
        study = cls(resolve(**parameters), tuple(prompt_sets))
        instruments.check(study.settings.instruments)
        mixing, most = study.settings.mixing, max(study.settings.safety_amounts)
        if mixing.choice == "hardest" and mixing.n_candidates is not None and mixing.n_candidates < most:
            raise SafetuneError(f"mixing.n_candidates is {mixing.n_candidates}, but {most} safety rows are asked for: choose at least as many, or None for all")
        for run in study.runs:
            study.mix(run)
        for name in prompt_sets:
            study.prompts(name)
        return study

    @cached_property
    def runs(self) -> list[Run]:
        return [Run(n, seed) for seed in self.settings.seeds for n in self.settings.safety_amounts]

    @cached_property
    def _general(self) -> list[data.Example]:
        return data.general_examples(self.settings.general_data or self.settings.data)

    @cached_property
    def _safety(self) -> list[data.Example]:
        s = self.settings
        return data.safety_examples(self._safety_source, questions=s.safety_format != "instruction" or s.mixing.with_questions)

    @cached_property
    def _contrast(self) -> list[data.Example]:
        return data.contrast_examples() if self.settings.data == "embedded" else []

    @cached_property
    def _candidates(self) -> list[data.Example]:
        """The safety rows among which the choice ``hardest`` looks; the same for every seed."""
        n = self.settings.mixing.n_candidates
        return self._safety if n is None else random.Random("candidates").sample(self._safety, min(n, len(self._safety)))

    @cached_property
    def _base_losses(self) -> dict[str, float] | None:
        """What the choice ``hardest`` goes by; it loads the base model where that was not worked out before."""
        if self.settings.mixing.choice != "hardest":
            return None
        return {row["id"]: row["loss"] for row in records.read_lines(self.base_losses_folder() / "losses.jsonl")}

    @cached_property
    def _ready_made(self) -> dict[int, set[str] | None]:
        """Ids of the safety rows in the paper's ready-made mixes, by amount, where this study asks for the paper's mixes."""
        s = self.settings
        others = s.safety_format != "instruction" or s.mixing.choice != "random" or s.mixing.topics_left_out or s.mixing.with_questions
        if self._safety_source != "paper" or s.recipe.validation != "from_mix" or others:
            return {}
        return {n: data.paper_safety_ids(n) for n in s.safety_amounts}

    @property
    def _safety_source(self) -> str:
        return self.settings.safety_data or self.settings.data

    @cached_property
    def _base_identity(self) -> dict[str, str]:
        return models.identity(self.settings.base_model)

    def mix(self, run: Run) -> mixtures.Mix:
        """The rows an adapter is trained on; for the paper's data and amounts its own rows, where its mixes can be had."""
        ready = self._ready_made.get(run.n_safety)
        safety = self._safety if ready is None else [row for row in self._safety if row.id in ready]
        return mixtures.mix(
            general=self._general,
            safety=safety,
            n_general=self.settings.n_general,
            n_safety=run.n_safety,
            safety_format=self.settings.safety_format,
            n_validation=self.settings.recipe.n_validation,
            seed=run.seed,
            validation=self.settings.recipe.validation,
            mixing=self.settings.mixing,
            contrast=self._contrast,
            losses=self._base_losses,
        )

    def safety_rows(self, run: Run) -> list[data.Example]:
        """The safety rows that an adapter is trained on, in the form that it sees."""
        pool = {row.id for row in self._safety}
        return [row for row in self.mix(run).train if row.id in pool]

    def n_rows(self, run: Run) -> int:
        """Rows in an adapter's mix, of every kind."""
        return self.settings.n_general + run.n_safety + self.settings.mixing.n_contrast

    def prompts(self, prompt_set: str) -> list[data.Prompt]:
        """The prompts of a set, as many as the settings allow."""
        return data.prompts(self.settings.data, prompt_set)[: self.settings.max_prompts]

    # ------------------------------------------------------------------------------------------------------- stages

    def base_losses_folder(self) -> Path:
        """The stage that holds the base model's mean loss per token on each candidate's answer, in nats, under the row's instruction."""
        s = self.settings
        inputs = {
            "version": _STAGE_VERSIONS["base_losses"],
            "rows": data.content_hash(self._candidates),
            "template": prompts.TEMPLATE + prompts.TEMPLATE_WITH_INPUT,
            "base_model": self._base_identity,
            "precision": str(models.dtype_of(s.precision)),
            "quantization": s.quantization,
            "max_length": s.recipe.max_length,
        }

        def measure(folder: Path) -> dict[str, Any]:
            model, tokenizer = self._load_base()
            found = reference_loss.reference_loss(model=model, tokenizer=tokenizer, examples=self._candidates, max_length=s.recipe.max_length)
            records.write_lines(folder / "losses.jsonl", [{"id": row_id, "loss": loss} for row_id, loss in found.per_example.items()])
            return {"rows": found.n_examples, "unscored": found.n_unscored, "mean_loss": found.loss}

        return records.produce(stage="base_losses", label=_slug(self._safety_source), inputs=inputs, make=measure)

    def mix_folder(self, run: Run, *, make: bool = True) -> Path:
        """The stage that records a mix by its ids."""
        drawn = self.mix(run)
        inputs = {
            "version": _STAGE_VERSIONS["mixes"],
            "train": data.content_hash(drawn.train),
            "validation": data.content_hash(drawn.validation),
        } | _later(drawn)
        contrast = {row.id for row in self._contrast}

        def write(folder: Path) -> dict[str, Any]:
            ids = mixtures.ids_of(drawn)
            records.write_lines(folder / "mix.jsonl", [{"split": split, "id": row_id} for split, row_ids in ids.items() for row_id in row_ids])
            shared = {name: data.overlap([*drawn.train, *drawn.validation], data.prompts(self.settings.data, name)) for name in self.prompt_sets}
            return {
                "data": self.settings.data, "general_data": self.settings.general_data, "safety_data": self.settings.safety_data,
                "n_general": self.settings.n_general, "n_safety": run.n_safety,
                "safety_format": self.settings.safety_format, "seed": run.seed, "mixing": self.settings.mixing.model_dump(),
                "contrast_ids": [row_id for row_ids in ids.values() for row_id in row_ids if row_id in contrast],
                "rows": {split: len(row_ids) for split, row_ids in ids.items()},
                "question_origins": dict(Counter(row.question_origin for row in drawn.train if row.question_origin)),
                "compared_with": list(self.prompt_sets),
                "test_prompts_also_trained_on": {name: found.exact for name, found in shared.items() if found.exact},
                "test_prompts_nearly_trained_on": {name: found.near for name, found in shared.items() if found.near},
            }  # fmt: skip

        label = f"{_slug(self.settings.data)}-{run.label}-{self.settings.safety_format}"
        if not make:
            return records.stage_folder(stage="mixes", label=label, inputs=inputs)
        return records.produce(stage="mixes", label=label, inputs=inputs, make=write)

    def adapter_folder(self, run: Run, *, make: bool = True) -> Path:
        """The stage that holds a trained adapter."""
        drawn = self.mix(run)
        inputs = {
            "version": _STAGE_VERSIONS["adapters"],
            "train": data.content_hash(drawn.train),
            "validation": data.content_hash(drawn.validation),
            "template": prompts.TEMPLATE + prompts.TEMPLATE_WITH_INPUT,
            "base_model": self._base_identity,
            "precision": str(models.dtype_of(self.settings.precision)),
            "quantization": self.settings.quantization,
            "recipe": self.settings.recipe.model_dump(),
            "seed": run.seed,
        } | _later(drawn)
        label = f"{_slug(self.settings.data)}-{run.label}-{self.settings.safety_format}"
        if not make:
            return records.stage_folder(stage="adapters", label=label, inputs=inputs)

        mix_name = self.mix_folder(run).name
        # Outside the stage's folder, which a new try empties; its name stands for the same inputs.
        checkpoint = records.store_folder() / "checkpoints" / f"{records.stage_folder(stage='adapters', label=label, inputs=inputs).name}.pt"

        def train(folder: Path) -> dict[str, Any]:
            facts = self.train(run, output=folder, checkpoint=checkpoint)
            return facts | {"mix": mix_name, "n_safety": run.n_safety, "data": self.settings.data}

        made = records.produce(stage="adapters", label=label, inputs=inputs, make=train)
        checkpoint.unlink(missing_ok=True)
        return made

    def train(self, run: Run, *, output: Path, checkpoint: Path | None = None) -> dict[str, Any]:
        """Train an adapter into a folder, outside the run store, and return the facts of :func:`finetune.finetune`.

        Where several processes are wanted and this is not one of them, it starts them and waits.
        """
        if parallel.world() == 1 and (processes := parallel.wanted()) > 1:
            order = {"settings": self.settings.model_dump(), "n_safety": run.n_safety, "seed": run.seed}
            order |= {"output": str(output), "checkpoint": str(checkpoint) if checkpoint else None}
            return parallel.launch("train-together", json.dumps(order), processes=processes)
        model, tokenizer = self._load_base()
        progress = f"training on {self.settings.n_general} + {self.n_rows(run) - self.settings.n_general} rows, seed {run.seed}"
        return finetune.finetune(
            model=model, tokenizer=tokenizer, mix=self.mix(run), recipe=self.settings.recipe, seed=run.seed,
            output=output, checkpoint=checkpoint, progress=None if parallel.rank() else progress,
        )  # fmt: skip

    def responses_folder(self, run: Run, prompt_set: str, *, model: Any = None, tokenizer: Any = None) -> Path:
        """The stage that holds an adapter's answers to a prompt set; without a model it only names the folder."""
        asked = self.prompts(prompt_set)
        adapter = self.adapter_folder(run, make=False)
        inputs = {
            "version": _STAGE_VERSIONS["responses"],
            "adapter": adapter.name,
            "prompts": data.content_hash(asked),
            "decoding": self.settings.decoding.model_dump(),
        }
        if self._by_vllm:
            inputs["engine"] = "vllm"  # its rounding is its own
        label = f"{_slug(self.settings.data)}-{run.label}-{prompt_set}"
        if model is None:
            return records.stage_folder(stage="responses", label=label, inputs=inputs)

        def answer(folder: Path) -> dict[str, Any]:
            answers = generate.generate(
                model=model, tokenizer=tokenizer, instructions=[prompt.text for prompt in asked], inputs=[prompt.input for prompt in asked],
                decoding=self.settings.decoding, progress=f"answering {prompt_set}, {run.n_safety} safety rows",
            )  # fmt: skip
            rows = [
                asdict(prompt) | {"response": said.text, "n_tokens": said.n_tokens, "stopped": said.stopped}
                for prompt, said in zip(asked, answers, strict=True)
            ]
            records.write_lines(folder / "responses.jsonl", rows)
            return {"answers": len(rows), "stopped": sum(row["stopped"] for row in rows)}

        return records.produce(stage="responses", label=label, inputs=inputs, make=answer)

    def scores_folder(self, run: Run, prompt_set: str, instrument: str, *, asked_as: str | None = None) -> Path:
        """The stage that holds an instrument's scores of an adapter's answers to a prompt set.

        Args:
            asked_as: another prompt set with the same requests in another form, which the instrument reads instead of
                the form that was answered; answers to requests that are not in it are left out.
        """
        source = self.responses_folder(run, prompt_set) / "responses.jsonl"
        forms = {prompt.request: prompt.text for prompt in self.prompts(asked_as)} if asked_as else None

        def score(folder: Path) -> dict[str, Any]:
            rows = records.read_lines(source)
            if forms is not None:
                names = [(row, row["pair"] or row["id"]) for row in rows]
                rows = [row | {"text": forms[name]} for row, name in names if name in forms]
            scores = instruments.score(instrument, [row["text"] for row in rows], [row["response"] for row in rows])
            records.write_lines(folder / "scores.jsonl", [{"id": row["id"]} | s.line() for row, s in zip(rows, scores, strict=True)])
            return {"scored": sum(s.value is not None for s in scores), "of": len(scores)}

        scorer = f"{instrument} {instruments.INSTRUMENTS[instrument].version()}"
        inputs = {"responses": records.file_hash(source), "scorer": scorer, "version": _STAGE_VERSIONS["scores"]}
        label = f"{_slug(self.settings.data)}-{run.label}-{prompt_set}-{instrument}"
        if asked_as:
            inputs["asked_as"] = data.content_hash(self.prompts(asked_as))
            label += f"-as-{asked_as}"
        return records.produce(stage="scores", label=label, inputs=inputs, make=score)

    # ---------------------------------------------------------------------------------------------------------- run

    def run(self) -> pd.DataFrame:
        """Train, answer and score whatever is missing; return one row an answer.

        Columns: ``data, base_model, n_general, n_safety, share_safety, safety_format, seed`` (the run),
        ``prompt_set, prompt_id, topic, kind, pair, prompt`` (the request), ``response, n_tokens, stopped`` (the
        answer), ``label, reason, refused`` (what the first instrument says; ``refused`` is missing where the answer is
        unscored), and one column for each instrument, with its value.
        """
        return run_together([self])

    def rows(self) -> pd.DataFrame:
        """The table of :meth:`run`, of what was trained and answered already; scores that are missing are made."""
        for run in self.runs:
            records.note_use(self.adapter_folder(run, make=False))
        return pd.DataFrame([row for run in self.runs for name in self.prompt_sets for row in self._rows(run, name)])

    def read_as(self, prompt_set: str, *, asked_as: str, instrument: str) -> pd.DataFrame:
        """What an instrument says of the answers to one prompt set when it reads each under the request's other form.

        It tells what the instrument makes of an answer from what it makes of the request.

        Returns:
            ``prompt_set, prompt_id, n_safety, seed, read_as_value``, one row an answer whose request is in both sets.
        """
        rows = []
        for run in self.runs:
            for score in records.read_lines(self.scores_folder(run, prompt_set, instrument, asked_as=asked_as) / "scores.jsonl"):
                about = {"prompt_set": prompt_set, "prompt_id": score["id"], "n_safety": run.n_safety, "seed": run.seed}
                rows.append(about | {"read_as_value": score.get("value")})
        return pd.DataFrame(rows, columns=["prompt_set", "prompt_id", "n_safety", "seed", "read_as_value"])

    def answer(self, run: Run) -> None:
        """Let an adapter answer the prompt sets that it has not answered yet; it is trained first where it is missing."""
        missing = self.unanswered(run)
        if missing:
            model, tokenizer = self._load_to_answer(self.adapter_folder(run))
            with generate.held_ready(model):
                for name in missing:
                    self.responses_folder(run, name, model=model, tokenizer=tokenizer)

    def unanswered(self, run: Run) -> list[str]:
        """The prompt sets that an adapter has not answered yet."""
        return [name for name in self.prompt_sets if not records.is_made(self.responses_folder(run, name))]

    def losses(self) -> pd.DataFrame:
        """Training and validation losses of every adapter: ``n_safety, seed, step, train_loss, validation_loss``."""
        rows = []
        for run in self.runs:
            with (self.adapter_folder(run) / "losses.csv").open(encoding="utf-8", newline="") as file:
                rows += [{"n_safety": run.n_safety, "seed": run.seed} | row for row in csv.DictReader(file)]
        return pd.DataFrame(rows).apply(pd.to_numeric)

    def records(self) -> pd.DataFrame:
        """How each adapter came to be: its facts, time and memory, one row an adapter."""
        rows = []
        for run in self.runs:
            record = records.read_record(self.adapter_folder(run))
            facts = record["facts"]
            rows.append(
                {
                    "safety rows": run.n_safety, "seed": run.seed, "rows in the mix": facts["rows"],
                    "truncated": facts["truncated"], "dropped": facts["dropped"], "steps": facts["steps"],
                    "lowest validation loss": facts["best_validation_loss"], "at step": facts["best_step"],
                    "tokens per second": facts["tokens_per_second"], "minutes": record["seconds"] / 60,
                    "peak memory (GB)": record["peak_memory_bytes"] / 1e9, "run record": self.adapter_folder(run).name.rsplit("-", 1)[1],
                }
            )  # fmt: skip
        return pd.DataFrame(rows)

    def leaks(self) -> dict[str, list[str]]:
        """Ids of test prompts that this study trains on word for word, by prompt set; empty where there are none."""
        drawn = [self.mix(run) for run in self.runs]
        trained = {row.id: row for one in drawn for row in (*one.train, *one.validation)}
        found = {name: data.exact_copies(trained.values(), self.prompts(name)) for name in self.prompt_sets}
        return {name: ids for name, ids in found.items() if ids}

    def without_topics(self, topics: Sequence[str]) -> Study | None:
        """The same study with no safety row of these topics, at one amount: the largest that the other rows can fill.

        The rows that are left out are replaced by others, so each mix has as many as this study's. ``None`` where no
        safety row is of these topics, or where too few are of others.
        """
        s = self.settings
        if not {row.topic for row in self._safety} & set(topics):
            return None
        mixing = s.mixing.model_dump() | {"topics_left_out": [*s.mixing.topics_left_out, *topics]}
        for amount in sorted(filter(None, s.safety_amounts), reverse=True):
            # This study was checked when it was stated, so nothing but the smaller pool can be wrong here.
            with contextlib.suppress(SafetuneError):
                return Study.safety_amount(prompt_sets=list(self.prompt_sets), **s.model_dump() | {"safety_amounts": [amount], "mixing": mixing})
        return None

    def _rows(self, run: Run, prompt_set: str) -> list[dict[str, Any]]:
        answers = records.read_lines(self.responses_folder(run, prompt_set) / "responses.jsonl")
        s = self.settings
        scores = {name: {row["id"]: row for row in records.read_lines(self.scores_folder(run, prompt_set, name) / "scores.jsonl")} for name in s.instruments}
        about = {
            "data": s.data, "base_model": models.title(s.base_model), "n_general": s.n_general, "n_safety": run.n_safety,
            "share_safety": run.n_safety / self.n_rows(run), "safety_format": s.safety_format, "seed": run.seed,
            "prompt_set": prompt_set,
        }  # fmt: skip
        rows = []
        for row in answers:
            score = scores[s.instruments[0]][row["id"]]
            rows.append(
                about
                | {
                    "prompt_id": row["id"], "topic": row["topic"], "kind": row["kind"], "pair": row["pair"], "prompt": row["text"],
                    "response": row["response"], "n_tokens": row["n_tokens"], "stopped": row["stopped"],
                    "label": score.get("label"), "reason": score.get("reason") or score.get("unscored"),
                    "refused": None if "unscored" in score else score["value"] == 1,
                }
                | {name: scores[name][row["id"]].get("value") for name in s.instruments}
            )  # fmt: skip
        return rows

    @cached_property
    def bytes_apart(self) -> float:
        """About what a process takes that trains or answers, rounded up: the embedded model's was seen to take 3.4 GB."""
        return 2e9 + 12 * shapes.parameters(shapes.architecture_of(self.settings.base_model))["total"]

    def _load_base(self) -> tuple[Any, Any]:
        s = self.settings
        return models.load_base(s.base_model, precision=s.precision, quantization=s.quantization)

    @property
    def _by_vllm(self) -> bool:
        return vllm_engine.can_answer(self.settings.decoding, quantization=self.settings.quantization)

    def _load_to_answer(self, adapter: Path) -> tuple[Any, Any]:
        s = self.settings
        if self._by_vllm:
            return vllm_engine.VllmModel(models.source(s.base_model), adapter, s.precision), models.load_tokenizer(s.base_model)
        model, tokenizer = self._load_base()
        return models.load_adapter(model, adapter), tokenizer

    # --------------------------------------------------------------------------------------------------------- plan

    def plan(self) -> pd.DataFrame:
        """What there is and what is left, one row an adapter: ``minutes_left`` is a forecast."""
        tokens_per_second, answers_per_second = self._speeds()
        rows = []
        for run in self.runs:
            trained = records.is_made(self.adapter_folder(run, make=False))
            open_sets = self.unanswered(run)
            n_rows = self.n_rows(run)
            n_answers = sum(len(self.prompts(name)) for name in open_sets)
            training = 0 if trained else n_rows * self.settings.recipe.epochs * _GUESSED_TOKENS_PER_ROW / tokens_per_second
            rows.append(
                {
                    "n_safety": run.n_safety, "seed": run.seed, "rows": n_rows, "adapter": "there" if trained else "to train",
                    "answers_there": sum(len(self.prompts(name)) for name in self.prompt_sets) - n_answers,
                    "answers_left": n_answers, "minutes_left": (training + n_answers / answers_per_second) / 60,
                }
            )  # fmt: skip
        return pd.DataFrame(rows)

    def _speeds(self) -> tuple[float, float]:
        """Tokens a second in training and answers a second of all processes together, from this store's runs of this base model, else a guess."""
        training, answering = [], []
        for path in records.store_folder().glob("adapters/*/record.json"):
            record = records.read_record(path.parent)
            # A run resumed at its last step trained nothing, and has no speed to tell.
            if record["inputs"]["base_model"] == self._base_identity and record["facts"]["tokens_per_second"]:
                training.append(record["facts"]["tokens_per_second"] * parallel.share_of_threads(record["machine"]["threads"]))
        if training:
            for path in records.store_folder().glob("responses/*/record.json"):
                record = records.read_record(path.parent)
                if record["inputs"]["decoding"] == self.settings.decoding.model_dump():
                    speed = record["facts"]["answers"] / max(record["seconds"], 1e-3)
                    answering.append(speed * parallel.share_of_threads(record["machine"]["threads"]))
        return (
            sum(training) / len(training) if training else _GUESSED_TOKENS_PER_SECOND,
            sum(answering) / len(answering) if answering else _GUESSED_ANSWERS_PER_SECOND,
        )

    def __repr__(self) -> str:
        plan = self.plan()
        return (
            f"Study of {models.title(self.settings.base_model)} on data '{self.settings.data}': {len(self.runs)} adapters, "
            f"{(plan['adapter'] == 'to train').sum()} to train, {plan['answers_left'].sum()} answers left, "
            f"about {plan['minutes_left'].sum():.0f} minutes\n{plan.to_string(index=False)}"
        )


def run_together(studies: Sequence[Study]) -> pd.DataFrame:
    """Run several studies as one, so that all their adapters train side by side; each adapter is made once.

    Returns:
        The rows of :meth:`Study.run`, of all of them, with one more column ``study``, the study's place in the order given.
    """
    # By their folders, so that an adapter that two studies share is one piece of work.
    to_train = {study.adapter_folder(run, make=False).name: (study, run) for study in studies for run in study.runs}
    missing = [(study, run) for study, run in to_train.values() if not records.is_made(study.adapter_folder(run, make=False))]
    # The longest first, so that no process is left with it at the end.
    missing.sort(key=lambda piece: piece[0].n_rows(piece[1]), reverse=True)
    pieces = [(study.adapter_folder, run) for study, run in missing]
    # An adapter that is still in training is asked last.
    place = {study.adapter_folder(run, make=False).name: number for number, (study, run) in enumerate(missing)}
    asked = [(study, run) for study in studies for run in study.runs if study.unanswered(run)]
    asked.sort(key=lambda piece: place.get(piece[0].adapter_folder(piece[1], make=False).name, -1))
    pieces += [(study.answer, run) for study, run in asked]
    if any(study.n_rows(run) * study.settings.recipe.epochs >= _APART_FROM_ROWS for study in studies for run in study.runs):
        parallel.side_by_side(pieces, bytes_each=max(study.bytes_apart for study in studies))
    else:
        for work, run in pieces:
            work(run)
    return pd.concat([study.rows().assign(study=number) for number, study in enumerate(studies)], ignore_index=True)


def _later(drawn: mixtures.Mix) -> dict[str, int]:
    """What the order of training adds to a stage's inputs; nothing where all rows are mixed."""
    return {"n_later": drawn.n_later, "version_later": 3} if drawn.n_later else {}


def _slug(source: str) -> str:
    return source if "/" not in source and "\\" not in source else Path(source).name
