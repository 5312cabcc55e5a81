"""Build the book, publish what a run found, lay two runs side by side."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Annotated

import typer

from safetune_utils.cli.common import AsJson, Assignments, Config, Preset, app, given_from, table
from safetune_utils.errors import SafetuneError
from safetune_utils.terminal import say

# What brings torch is imported inside the commands, so that --help answers at once.


@app.command()
def book(
    preset: Preset = None,
    parameter: Assignments = None,
    output: Annotated[
        Path | None, typer.Option(help="the folder to build in; default: _build of the clone, or here")
    ] = None,
    executed: Annotated[
        Path | None,
        typer.Option(help="a folder of executed notebooks to take as they are; a stale one fails the build"),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run the notebooks that are missing or out of date, then build the site."""
    from safetune_utils.book import site

    given = given_from(parameter, preset, config)
    if executed and given:
        raise SafetuneError(
            "--executed takes notebooks as they are: leave out --preset, -p and --config, or --executed"
        )
    clock = time.perf_counter()
    page, made = site.build(given=given, target=output, taken_from=executed)
    took = time.perf_counter() - clock
    if as_json:
        say(json.dumps({"page": str(page), "executed": made, "seconds": round(took, 1)}))
        return
    minutes, seconds = divmod(round(took), 60)
    say(f"{page}\nexecuted {made} notebook(s); the book took {minutes} min {seconds} s")


@app.command()
def publish(
    name: Annotated[str, typer.Argument(help="what to call the run: small letters, digits and hyphens")],
    preset: Preset = None,
    parameter: Assignments = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run the notebooks that are missing or out of date, then write what they found into
    data/results/published/.
    """
    from safetune_utils import places
    from safetune_utils.book import findings, site
    from safetune_utils.machine.files import check_folder

    findings.check_name(name)
    folder = places.own_data_folder() / "results" / "published"
    check_folder(folder, mend="set SAFETUNE_DATA to a data folder that can be written")
    done, _ = site.executed(given=given_from(parameter, preset, config))
    path = findings.publish(done.values(), name=name)
    say(json.dumps({"published": str(path)}) if as_json else path)


@app.command()
def compare(
    theirs: Annotated[
        str | None,
        typer.Argument(
            help="a run: a folder of executed notebooks, one executed notebook, or a published run's name; "
            "default: the last pages of the run store"
        ),
    ] = None,
    ours: Annotated[
        str | None,
        typer.Argument(help="the run to lay it beside, likewise; default: the published one of its preset"),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="of the run store's pages; default: that of the last one")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="write the comparison as one HTML page, too")] = None,
    as_json: AsJson = False,
) -> None:
    """Lay one run beside another: each number with its interval, and whether their difference is inside the
    noise.
    """
    from safetune_utils.book import compare as comparing
    from safetune_utils.book import findings
    from safetune_utils.data import outputs
    from safetune_utils.statistics import Estimate

    with outputs.held(output, forms=(".html",)) if output else contextlib.nullcontext():
        run = findings.of_store(preset) if theirs is None else findings.read(theirs)
        ours = ours or findings.published_like(run)
        theirs = theirs or "run store"
        sides = run, findings.read(ours)
        rows, apart = comparing.compare(*sides), comparing.settings_apart(*sides)
        if output:
            outputs.write_text(output, comparing.page(rows, theirs=theirs, ours=ours, apart=apart))
    if as_json:
        found = {"theirs": theirs, "ours": ours, "rows": rows, "settings_apart": apart}
        say(json.dumps(found, indent=1, default=Estimate.as_data))
    else:
        say(f"theirs: {theirs}; ours: {ours}\n")
        say(table(comparing.shown(rows), comparing.COLUMNS))
        say("\n".join(["", comparing.summary(rows), comparing.RULE, *(f"differs: {line}" for line in apart)]))
        if output:
            say(output)
