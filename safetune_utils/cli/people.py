"""A blind study of whose responses people prefer."""

from __future__ import annotations

import contextlib
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safetune_utils.cli.common import AsJson, Columns, WordsForNothing, app, reading_from
from safetune_utils.terminal import say

if TYPE_CHECKING:
    import pandas as pd

# From so many annotators on, each of them and every two are lines that nobody reads.
_A_CLASS = 5

# What brings torch is imported inside the commands, so that --help answers at once.


people_app = typer.Typer(no_args_is_help=True, help=__doc__)
app.add_typer(people_app, name="preference")


FirstResponses = Annotated[
    Path,
    typer.Option(
        help="the first model's answers, in a form that `safetune score` reads; the win rate will be its"
    ),
]


SecondResponses = Annotated[
    Path, typer.Option(help="the second model's answers to the same prompts, in the same order")
]


@people_app.command("make")
def preference_make(
    first: FirstResponses,
    second: SecondResponses,
    output: Annotated[Path, typer.Option(help="the page, one HTML file that needs nothing else")],
    seed: Annotated[int, typer.Option(help="decides which side is whose; keep it from those who judge")] = 0,
    title: Annotated[str, typer.Option()] = "Which answer is better?",
    columns: Columns = "",
    words_for_nothing: WordsForNothing = "ask",
    as_json: AsJson = False,
) -> None:
    """Make the page on which people judge two models' answers, side by side and blind."""
    from safetune_utils.annotation import preference
    from safetune_utils.data import outputs

    with outputs.held(output, forms=(".html",), apart_from=[first, second]):
        items = _preference_items(first, second, seed, reading_from(columns, words_for_nothing))
        outputs.write_text(output, preference.page(items, title=title))
    say(
        json.dumps({"pairs": len(items), "page": str(output)}) if as_json else f"{len(items)} pairs: {output}"
    )


@people_app.command("tally")
def preference_tally(
    first: FirstResponses,
    second: SecondResponses,
    annotations: Annotated[list[Path], typer.Argument(help="the files that the page exported")],
    seed: Annotated[int, typer.Option(help="the one that the page was made with")] = 0,
    columns: Columns = "",
    words_for_nothing: WordsForNothing = "ask",
    output: Annotated[
        Path | None, typer.Option(help="write a page for a class, too: contested pairs first, one HTML file")
    ] = None,
    pairwise: Annotated[
        bool, typer.Option("--pairwise", help="a line for each annotator, and κ for every two of them")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Count what annotators found: contested pairs, the first model's win rate, and their agreement."""
    from safetune_utils.annotation import preference, tallies
    from safetune_utils.book import class_page
    from safetune_utils.data import outputs

    with (
        outputs.held(output, forms=(".html",), apart_from=[first, second, *annotations])
        if output
        else contextlib.nullcontext()
    ):
        items = _preference_items(first, second, seed, reading_from(columns, words_for_nothing))
        read = [preference.read_annotation(path, items=items) for path in annotations]
        tally = tallies.tally(read, items)
        tables = [tally if pairwise or len(read) < _A_CLASS else class_page.together(tally)]
        if len(read) > 1:
            tables.append(tallies.annotator_agreement(read, items, pairwise=pairwise or len(read) < _A_CLASS))
            contested = tallies.contested(read, items).head(class_page.SHOWN)
            tables += [] if contested.empty else [contested]
        if output:
            outputs.write_text(output, class_page.page(read, items))
    if as_json:
        say(json.dumps([json.loads(table.to_json(orient="records")) for table in tables], indent=1))
    else:
        # What a class talks about first stands first.
        say("\n\n".join(_short(table).round(3).to_string(index=False) for table in reversed(tables)))
        if output:
            say(output)


def _short(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose prompts fit a line."""
    if "prompt" not in table:
        return table
    return table.assign(prompt=[textwrap.shorten(prompt, 48, placeholder=" …") for prompt in table["prompt"]])


def _preference_items(first: Path, second: Path, seed: int, given: dict[str, Any]) -> list[Any]:
    from safetune_utils.annotation import preference
    from safetune_utils.generation import response_files
    from safetune_utils.settings import Reading, checked

    reading = checked(Reading, given)
    prompts, responses = response_files.read_responses(first, reading=reading)
    prompts_too, others = response_files.read_responses(second, reading=reading)
    response_files.check_paired(first, second, (prompts, prompts_too))
    return preference.pairs(
        prompts, responses, others, first_name=first.stem, second_name=second.stem, seed=seed
    )
