"""Embedded and outside data sets."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from safetune_utils.cli.common import AsJson, app, table
from safetune_utils.errors import SafetuneError
from safetune_utils.terminal import say

# What brings torch is imported inside the commands, so that --help answers at once.


data_app = typer.Typer(no_args_is_help=True, help=__doc__)
app.add_typer(data_app, name="data")


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """Every set: embedded with its rows, outside with where it is and its licence."""
    from safetune_utils import data

    rows = data.listing()
    if as_json:
        say(json.dumps(rows, indent=1))
    else:
        say(table(rows, ["name", "where", "rows", "size", "licence", "tests"]))


@data_app.command("fetch")
def data_fetch(
    names: Annotated[list[str], typer.Argument(help="names from `safetune data list`")],
    as_json: AsJson = False,
) -> None:
    """Fetch outside sets to the cache and verify them."""
    from safetune_utils import data

    for name in names:
        path = data.fetch(name)
        entry = data.registered_sets()[name]
        if as_json:  # one line a set, as each is there
            about = ("licence", "non_commercial", "citation")
            say(json.dumps({"name": name, "path": str(path)} | {key: getattr(entry, key) for key in about}))
            continue
        say(f"{name}: {path}\n  {entry.terms}; {entry.citation}")


@data_app.command("verify")
def data_verify(as_json: AsJson = False) -> None:
    """Check every outside set that is in the cache or on the mirror against its hash, and the paper's mixes
    against its sets.
    """
    from safetune_utils import data

    files = [{"name": name, "fault": fault} for name, fault in data.verify()]
    wrong = [one for one in files if one["fault"]]
    mixes = []
    if not wrong:
        needed = ("alpaca-20000", "safety-instructions")
        for amount in data.PAPER_AMOUNTS:
            there = all(data.is_at_hand(name) for name in (f"mix-{amount}", *needed))
            mixes.append((f"mix-{amount}", data.compare_paper_mix(amount) if there else None))
    if as_json:
        found = {
            name: mix and mix._asdict() | {"safety_ids": len(mix.safety_ids), "same": mix.same}
            for name, mix in mixes
        }
        say(json.dumps({"files": files, "mixes": found}, indent=1))
    else:
        for one in files:
            say(one["fault"] or f"ok {one['name']}")
        for name, mix in mixes:
            say(
                f"{'ok' if mix.same else 'NOT THE SAME'} {name}: {mix.rows} rows, {mix.general} of"
                f" alpaca-20000 ({mix.general_missing} missing), {mix.safety} of safety-instructions,"
                f" {mix.foreign} of neither"
                if mix
                else f"not compared: {name} (it, alpaca-20000 or safety-instructions is not at hand)"
            )
    if wrong:
        raise SafetuneError(f"{len(wrong)} file(s) have the wrong hash: delete them and fetch them again")


@data_app.command("overlap")
def data_overlap(
    source: Annotated[str, typer.Argument(help="embedded, paper, paper-sample or a folder")] = "embedded",
    as_json: AsJson = False,
) -> None:
    """Count the test prompts that are also trained on, exactly or nearly, by pair of sets."""
    from safetune_utils import data

    rows = data.overlaps(source)
    if as_json:
        say(json.dumps(rows, indent=1))
    else:
        say(table(rows, ["train", "test", "title", "prompts", "exact", "near", "highest"]))
