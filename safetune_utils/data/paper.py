"""The paper's own rows: as released, in forms that it did not release, and its ready-made mixes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from safetune_utils.data import question_forms
from safetune_utils.data.files import Row, read_table
from safetune_utils.data.register import fetch, registered_sets
from safetune_utils.data.rows import Example, Prompt
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.files import read_sealed, sealed, write_json
from safetune_utils.places import cache_folder
from safetune_utils.terminal import say

PAPER_AMOUNTS = (100, 300, 500, 1000, 1500, 2000)


def registered_examples(name: str) -> list[Example]:
    """Rows of a registered file, every one of them, as the paper used them.

    Their ids are the set's name and the row's number from 0; the file itself is fixed by its hash.

    Raises:
        SafetuneError: an unknown name, or a file that cannot be fetched.
    """
    return [
        Example(
            id=f"{name}-{number:05d}",
            instruction=row["instruction"],
            input=row.get("input") or "",
            output=row["output"],
        )
        for number, row in enumerate(read_table(fetch(name)).rows)
    ]


def registered_prompts(name: str) -> list[Prompt]:
    """Prompts of a registered file, every one of them, with ids as :func:`registered_examples` makes them.

    XSTest's own ids are kept.

    Raises:
        SafetuneError: an unknown name, or a file that cannot be fetched.
    """
    rows = read_table(fetch(name)).rows
    if name == "XSTest":
        return [
            Prompt(
                id=f"{name}-{row['id']}",
                text=row["prompt"],
                kind=row["type"].removeprefix("contrast_"),
                label=row["label"],
            )
            for row in rows
        ]
    texts = "prompt" if "prompt" in rows[0] else "instruction"
    return [
        Prompt(id=f"{name}-{number:04d}", text=row[texts], topic=row.get("topic") or "")
        for number, row in enumerate(rows)
    ]


def with_questions(rows: list[Example]) -> list[Example]:
    """The paper's safety rows with their question form, and ``question_origin``, which says how it was made.

    A question is matched in the red-team attempts where these can be fetched, else rewritten from the
    instruction by rule; both are empty where no rule fits.
    """
    matched = _red_team_questions()
    found = []
    for row in rows:
        question, origin = matched.get(row.id, ""), "red-team attempts"
        if not question:
            rewritten = question_forms.as_question(row.instruction)
            question, origin = (rewritten.text, "rewritten") if rewritten else ("", "")
        found.append(Example(**vars(row) | {"question": question, "question_origin": origin}))
    return found


def _red_team_questions() -> dict[str, str]:
    """Id of a safety row -> the question of the red-team attempts that it was made from.

    Empty where the attempts cannot be fetched. The comparison takes a minute or two, so its result is kept in
    the cache.
    """
    try:
        path = fetch("red-team-attempts")
    except SafetuneError:
        return {}
    blob = registered_sets()["red-team-attempts"].git_blob
    kept = cache_folder() / "data" / f"red-team-questions-{blob[:12]}-{question_forms.VERSION}.json"
    if found := read_sealed(kept):
        return found["questions"]
    say("matching the paper's safety rows with the red-team attempts, once", error=True)
    rows = registered_examples("safety-instructions")
    questions = sorted({question_forms.first_turn(row["transcript"]) for row in read_table(path).rows})
    matches = question_forms.match([row.instruction for row in rows], questions)
    by_id = {rows[number].id: match.text for number, match in matches.items()}
    write_json(kept, sealed({"questions": by_id}))
    return by_id


def question_counts(rows: list[Example]) -> dict[str, int]:
    """How the question forms of safety rows were made: the number of rows by origin.

    ``as written`` are questions of the set itself, ``none`` are rows that no rule could rewrite.
    """
    counts = Counter(
        row.question_origin or ("as written" if row.question else "none") for row in with_questions(rows)
    )
    return dict(counts)


def paper_safety_ids(n_safety: int) -> set[str] | None:
    """Ids of the safety rows in the paper's ready-made mix of this size; ``None`` where there is no such mix,
    or it cannot be fetched.
    """
    if n_safety not in PAPER_AMOUNTS:
        return None
    try:
        return compare_paper_mix(n_safety).safety_ids
    except SafetuneError:
        return None


@dataclass(frozen=True, kw_only=True)
class PaperResponse:
    """What a model of the paper's authors answered.

    Attributes:
        n_safety: safety examples that LLaMA-7B was tuned with besides the general ones: 0, 500 or 2,000.
        prompt_set: ``malicious``, ``AlpacaEval`` or ``early XSTest``, whose prompts are all safe.
        prompt, response: the request and the answer.
    """

    n_safety: int
    prompt_set: str
    prompt: str
    response: str


# The prompt sets of the authors' files, by the name that they have there.
_ANSWERED = {"I-UniversalHarm": "malicious", "AlpacaEval": "AlpacaEval", "MadQ": "early XSTest"}
PAPER_ANSWERED = tuple(_ANSWERED.values())
# Safety examples of the models that answered.
PAPER_RESPONSE_AMOUNTS = (0, 500, 2000)


def paper_responses() -> list[PaperResponse]:
    """The authors' own answers of LLaMA-7B: at each of three amounts of safety data, to 50 malicious
    requests, 50 of AlpacaEval and the 50 safe prompts of an early XSTest.

    Both amounts stand in files beside the same answers of the model without safety data, which are taken
    once. The files state no licence: measure with them, and pass nothing of them on.

    Source: the repository of the authors' human study, whose page showed these files to its annotators.

    Raises:
        SafetuneError: a file cannot be fetched.
    """
    found = {}
    for n_safety in PAPER_RESPONSE_AMOUNTS[1:]:
        tuned = f"llama-7b-hf-saferpaca-Instructions-{n_safety}"
        for name in (f"paper-responses-{n_safety}", f"paper-responses-{n_safety}-safe"):
            for row in read_table(fetch(name)).rows:
                for amount, column in ((0, "alpaca"), (n_safety, tuned)):
                    one = PaperResponse(
                        n_safety=amount,
                        prompt_set=_ANSWERED[row["type"]],
                        prompt=row["question"],
                        response=row[column],
                    )
                    found[amount, one.prompt_set, one.prompt] = one
    return sorted(found.values(), key=lambda one: (one.n_safety, PAPER_ANSWERED.index(one.prompt_set)))


class PaperMix(NamedTuple):
    """A ready-made mix of the paper, compared with the sets that it was made from.

    Attributes:
        rows: of the mix.
        general, safety: rows of the mix that are in the general set and in the safety file.
        general_missing: rows of the general set that are not in the mix.
        foreign: rows of the mix that are in neither set.
        safety_ids: ids of its safety rows.
    """

    rows: int
    general: int
    general_missing: int
    safety: int
    foreign: int
    safety_ids: set[str]

    @property
    def same(self) -> bool:
        """Whether the mix is the whole general set and safety rows, and nothing else."""
        return self.general_missing == 0 and self.foreign == 0


def compare_paper_mix(n_safety: int) -> PaperMix:
    """Compare the ready-made mix of the paper with its general set and its safety file.

    Args:
        n_safety: how many safety rows the mix has, one of :data:`PAPER_AMOUNTS`.

    Raises:
        SafetuneError: one of the three files cannot be fetched.
    """
    return _compared(read_table(fetch(f"mix-{n_safety}")).rows)


def _compared(ready: list[Row]) -> PaperMix:
    def content(row: Example) -> tuple[str, str, str]:
        return row.instruction, row.input, row.output

    left = Counter((row["instruction"], row.get("input") or "", row["output"]) for row in ready)
    general = Counter(map(content, registered_examples("alpaca-20000")))
    missing = general - left
    left -= general
    ids = set()
    for row in registered_examples("safety-instructions"):
        if left[content(row)] > 0:
            left[content(row)] -= 1
            ids.add(row.id)
    return PaperMix(
        rows=len(ready),
        general=general.total() - missing.total(),
        general_missing=missing.total(),
        safety=len(ids),
        foreign=(+left).total(),
        safety_ids=ids,
    )
