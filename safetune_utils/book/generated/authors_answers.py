"""The page "The paper's own outputs": what our instruments say of the answers that the paper's models gave,
beside the paper's figures and its study with people.

The counts were made by ``benchmarks/authors_answers.py``; what is known of the paper stands in
``data/paper``. Nothing is scored here, and no answer is shown.
"""

from __future__ import annotations

from typing import Any

import yaml

from safetune_utils import places, statistics
from safetune_utils.annotation.paper_study import paper_tallies
from safetune_utils.book import words
from safetune_utils.book.markup import Cell, Code, Link, Row, block, paragraph, table
from safetune_utils.book.verdicts import missed_by_labels
from safetune_utils.data import PAPER_ANSWERED, PAPER_RESPONSE_AMOUNTS
from safetune_utils.places import data_folder
from safetune_utils.scoring.controls import MOST, judged
from safetune_utils.scoring.instruments import HARMFUL, INSTRUMENTS, REFUSE
from safetune_utils.statistics import Estimate

_TITLES = {
    "malicious": "malicious requests",
    "AlpacaEval": "ordinary requests (AlpacaEval)",
    "early XSTest": "safe prompts that look unsafe (early XSTest)",
}
_CONTROL = "AlpacaEval"


def measurement_verdict(
    figure: float | None, ours: Estimate, *, false_alarms: Estimate, missed: bool = False
) -> str:
    """Whether our measurement of the authors' answers gives the paper's figure; it says nothing of training.

    Args:
        figure: the paper's share, 0 to 1; ``None`` where none is known.
        ours: the share that our instrument finds on the answers of the same model, 0 to 1.
        false_alarms: the share of answers to ordinary requests that the instrument calls the same, 0 to 1.
        missed: whether the instrument misses what readers found in answers of our own models.

    Returns:
        ``none`` without a figure or an interval; ``none`` with the reason where the instrument's false alarms
        do not pass the limit of :mod:`safetune_utils.scoring.controls`, or where it is ``missed``;
        ``reproduced (measurement)`` where the paper's figure lies within our 95 % interval, else ``not
        reproduced (measurement)``.
    """
    if figure is None or not ours.low <= ours.high:
        return "none"
    if judged(false_alarms) != "passes":
        return "none: the instrument does not pass its control"
    if missed:
        return "none: the instrument fails on our own models' answers"
    inside = ours.low <= figure <= ours.high
    return f"{'reproduced' if inside else 'not reproduced'} (measurement)"


def parts() -> dict[str, str]:
    """What the page includes, by name, as Markdown."""
    found = places.results("authors_answers")
    return {
        "authors_answers_shares": shares_table(found),
        "authors_answers_figures": figures_table(found),
        "authors_answers_people": people_table(found),
        "authors_answers_openings": openings_note(found),
    }


def shares_table(found: dict[str, Any]) -> str:
    """What every instrument says of every model's answers to every prompt set, with intervals."""
    rows: list[Row] = [
        (
            _TITLES[prompt_set],
            Cell(INSTRUMENTS[name].says, below=Code(name)),
            *(_cell(_share(found, name, prompt_set, n)) for n in PAPER_RESPONSE_AMOUNTS),
        )
        for prompt_set in PAPER_ANSWERED
        for name in found["instruments"]
    ]
    versions = found["versions"]
    weights = ", ".join(f"{name} {value[:12]}" for name, value in found["weights"].items())
    told = (
        "Shares of answers in per cent, with 95 % intervals (Wilson) and counts. All in"
        f" {found['precision']}; commit {found['code']}, torch {versions['torch']}, transformers"
        f" {versions['transformers']}; weights {weights}."
    )
    columns = ("prompts", "answers that are or", *_amounts())
    return block(table(columns, rows, wide=True), paragraph(told))


def figures_table(found: dict[str, Any]) -> str:
    """Our numbers beside the paper's figures, with a verdict for each."""
    paper = _paper()
    failed = {row["instrument"] for row in missed_by_labels()}
    rows: list[Row] = []
    for measure in paper["measures"]:
        for name in found["instruments"]:
            says = INSTRUMENTS[name].says
            if says not in (REFUSE, HARMFUL) or (says == HARMFUL and measure["prompt_set"] != "malicious"):
                continue
            not_refused = says == REFUSE and measure["prompt_set"] == "malicious"
            alarms = _false_alarms(found, name)
            for n, figure in zip(paper["amounts"], measure["values"], strict=True):
                ours = _share(found, name, measure["prompt_set"], n, turned=not_refused)
                rows.append(
                    (
                        Cell(f"{measure['name']}, {_amount(n)}", below=measure["known"]),
                        f"{figure:.2f}",
                        Cell("not refused" if not_refused else says, below=Code(name)),
                        _cell(ours),
                        Cell(
                            measurement_verdict(figure, ours, false_alarms=alarms, missed=name in failed),
                            strong=True,
                        ),
                    )
                )
    controls = "; ".join(
        f"{name} {words.brief(_false_alarms(found, name))}"
        for name in found["instruments"]
        if INSTRUMENTS[name].says in (REFUSE, HARMFUL)
    )
    strings = paper["string_rules"]
    counted = ", ".join(map(str, strings["counts"]))
    told: list[str | Link] = [
        f"The amounts: {paper['amounts_known']}. The control, answers to ordinary requests at all three"
        f" amounts that an instrument calls the same: {controls}. Above {words.percent(MOST)} it decides"
        " nothing, and neither if it ",
        Link("fails on our own models' answers", "instruments.html#on-answers-of-the-books-own-models"),
        f". XSTest's own string rules find {counted} refusals among the same answers to the 50 safe prompts"
        f" ({strings['known']}).",
    ]
    columns = ("the paper's measure", "its figure", "ours", "share (95 % interval)", "verdict")
    return block(table(columns, rows, wide=True), paragraph(told))


def people_table(found: dict[str, Any]) -> str:
    """Which answer people preferred, beside which one our rules call a refusal, as counts of 50 prompts."""
    people = paper_tallies()
    rows: list[Row] = []
    for pair in found["pairs"]:
        if pair["instrument"] != "refusal-rules" or pair["prompt_set"] == "early XSTest":
            continue
        judged = people[
            (people["n_safety"] == pair["n_safety"]) & (people["prompt_set"] == pair["prompt_set"])
        ]
        rows.append(
            (
                f"{_TITLES[pair['prompt_set']]}, {_amount(pair['n_safety'])}",
                *(
                    " and ".join(map(str, judged[column]))
                    for column in ("first_better", "second_better", "equally_good", "equally_bad")
                ),
                *(str(pair[case]) for case in ("tuned", "untuned", "both", "neither")),
            )
        )
    columns = (
        "prompts, model",
        *(f"people: {what}" for what in ("tuned better", "untuned better", "both good", "both bad")),
        *(f"refuses: {who}" for who in ("only tuned", "only untuned", "both", "neither")),
    )
    return block(table(columns, rows, wide=True))


def openings_note(found: dict[str, Any]) -> str:
    """How the answers open that XSTest's string rules would call refusals, and ours do not."""
    largest = PAPER_RESPONSE_AMOUNTS[-1]
    told = [
        f"{one['instrument']}, {one['no,']} that open with “No,” and {one['as an ai']} with “As an AI”"
        for one in found["openings"]
        if one["n_safety"] == largest
    ]
    return (
        f"Among the answers to safe prompts with {largest:,} safety examples that are left as no refusal are,"
        f" by {'; by '.join(told)}.\n"
    )


def _share(
    found: dict[str, Any], name: str, prompt_set: str, n_safety: int, *, turned: bool = False
) -> Estimate:
    """The share of answers that an instrument says yes to, or no to where it is ``turned``."""
    (counts,) = [
        one
        for one in found["shares"]
        if (one["instrument"], one["prompt_set"], one["n_safety"]) == (name, prompt_set, n_safety)
    ]
    return statistics.share_of(counts["n"] - counts["yes"] if turned else counts["yes"], counts["n"])


def _false_alarms(found: dict[str, Any], name: str) -> Estimate:
    """The share of answers to ordinary requests, of all three models, that an instrument says yes to."""
    alike = [one for one in found["shares"] if (one["instrument"], one["prompt_set"]) == (name, _CONTROL)]
    return statistics.share_of(sum(one["yes"] for one in alike), sum(one["n"] for one in alike))


def _cell(share: Estimate) -> Cell:
    count = "" if share.n is None else f"{round(share.value * share.n)} of {share.n}"
    return Cell(words.in_per_cent(share), below=count)


def _amounts() -> list[str]:
    return [_amount(n) for n in PAPER_RESPONSE_AMOUNTS]


def _amount(n: int) -> str:
    return f"{n:,} safety examples" if n else "no safety data"


def _paper() -> dict[str, Any]:
    return yaml.safe_load((data_folder() / "paper" / "main_figure.yml").read_text("utf-8"))
