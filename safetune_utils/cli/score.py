"""Score responses, list the instruments, train the book's own."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from safetune_utils.cli.common import AsJson, Columns, WordsForNothing, app, reading_from, table
from safetune_utils.errors import SafetuneError
from safetune_utils.terminal import plain, say

# What brings torch is imported inside the commands, so that --help answers at once.


@app.command()
def score(
    input: Annotated[
        Path,
        typer.Option(help="prompts and responses in any form, the original's output form among them"),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            help="one score a row, in the input's order: .jsonl, .json, .csv or .parquet, also with .gz"
        ),
    ] = None,
    explain: Annotated[
        int | None,
        typer.Option(help="in place of --output: the number of one row, to show how its score came to be"),
    ] = None,
    scorer: Annotated[
        str, typer.Option(help="an instrument's name; `safetune instruments` lists them")
    ] = "refusal",
    base_url: Annotated[
        str | None, typer.Option(help="for moderation and a judge: the server's address, up to and with /v1")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="for moderation and a judge: the model, as that server knows it")
    ] = None,
    cap_usd: Annotated[
        float | None,
        typer.Option(help="for a judge: the most to spend; nothing is asked if it could cost more"),
    ] = None,
    columns: Columns = "",
    words_for_nothing: WordsForNothing = "ask",
    as_json: AsJson = False,
) -> None:
    """Score the answers of a file."""
    from safetune_utils.data import outputs
    from safetune_utils.generation import response_files
    from safetune_utils.scoring import instruments
    from safetune_utils.scoring.score import NO_WORDS
    from safetune_utils.settings import Reading, checked

    reading = checked(Reading, reading_from(columns, words_for_nothing))
    asked: dict[str, Any] = {"base_url": base_url, "model": model, "cap_usd": cap_usd}
    if (output is None) == (explain is None):
        raise SafetuneError("one of two is needed: --output for the scores of all rows, --explain for one")
    instruments.check_options(scorer, asked)
    instruments.key(scorer, arithmetic="")  # for want of a file it would fail later
    if output is None:
        pairs = list(zip(*response_files.read_responses(input, reading=reading), strict=True))
        if explain is None or not 1 <= explain <= len(pairs):
            raise SafetuneError(f"{input} has no row {explain}: --explain takes 1 to {len(pairs)}")
        _explain(scorer, *pairs[explain - 1], as_json=as_json, **asked)
        return
    with outputs.held(output, apart_from=[input]):
        prompts, responses = response_files.read_responses(input, reading=reading)
        scores = instruments.score(scorer, prompts, responses, **asked)
        _say_terms(scorer)
        outputs.write_rows(output, [one.line() for one in scores])
    values = [one.value for one in scores if one.value is not None]
    reasons = Counter(one.reason for one in scores if one.value is None)
    if not values and instruments.INSTRUMENTS[scorer].options and set(reasons) - {NO_WORDS.reason}:
        raise SafetuneError(
            f"none of {len(scores)} rows was scored ({reasons.most_common(1)[0][0]}): see whether the server "
            f"answers as it should, and run it again; the reason of each row is in {output}"
        )
    if as_json:
        about = {"output": str(output), "scorer": scorer, "values": instruments.INSTRUMENTS[scorer].values}
        counts = {"rows": len(scores), "scored": len(values), "unscored": dict(reasons.most_common())}
        say(json.dumps(about | counts | {"mean": sum(values) / len(values) if values else None}, indent=1))
        return
    mean = (
        f", mean {sum(values) / len(values):.3f} ({instruments.INSTRUMENTS[scorer].values})" if values else ""
    )
    unscored = "".join(f"\n{count} unscored: {plain(reason)}" for reason, count in reasons.most_common())
    say(f"{len(values)} of {len(scores)} scored{mean}: {output}{unscored}")


def _say_terms(scorer: str) -> None:
    """Name the terms of an instrument's weights, on standard error, before its scores are shown."""
    from safetune_utils.scoring import instruments

    if told := instruments.terms(scorer):
        say(f"{scorer}: its weights {told}", error=True)


def _explain(scorer: str, prompt: str, response: str, *, as_json: bool, **asked: Any) -> None:
    """Print the score of one answer, and which rule or model said what, on which words."""
    from safetune_utils.scoring import explain, instruments

    score, steps = explain.explain(scorer, prompt, response, **asked)
    _say_terms(scorer)
    values = instruments.INSTRUMENTS[scorer].values
    if as_json:
        found = {"scorer": scorer, "prompt": prompt, "response": response, "values": values}
        say(json.dumps(found | score.line() | {"steps": [step._asdict() for step in steps]}, indent=1))
        return
    said = "unscored" if score.value is None else f"{score.label or 'value'} {score.value:g} ({values})"
    say(f"asked: {plain(prompt)}\nanswered: {plain(response)}\n{scorer}: {said}")
    for step in steps:
        say(f"  {plain(step.by)}: {plain(step.said)}")
        if step.words:
            say(f"    on: {plain(step.words)}")


@app.command("instruments")
def instruments_list(as_json: AsJson = False) -> None:
    """Every instrument: what it measures, its range and direction, what it needs; with --json also what its
    weights learned from, and their terms.
    """
    from safetune_utils.scoring.instruments import INSTRUMENTS, terms

    rows = [
        {
            "scorer": name,
            "measures": instrument.measures,
            "values": instrument.values,
            "needs": instrument.needs,
            "weights": terms(name),
        }
        for name, instrument in INSTRUMENTS.items()
    ]
    say(json.dumps(rows, indent=1) if as_json else table(rows, ["scorer", "measures", "values", "needs"]))


@app.command("train-instrument")
def train_instrument(name: Annotated[str, typer.Argument(help="refusal or harmfulness")]) -> None:
    """Train one of the book's own instruments on labelled outside data, measure it, and write its weights and
    results into data/.
    """
    from safetune_utils.machine.files import check_folder
    from safetune_utils.places import own_data_folder
    from safetune_utils.scoring import train

    publish = {"refusal": train.publish_refusal, "harmfulness": train.publish_harmfulness}
    if name not in publish:
        raise SafetuneError(f"there is no instrument '{name}' to train: choose {' or '.join(publish)}")
    check_folder(own_data_folder() / "results", mend="set SAFETUNE_DATA to a data folder that can be written")
    found = publish[name]()
    _say_terms(name)
    say(json.dumps(found, indent=1))
