"""Build the book, publish what a run found, lay two runs side by side."""

from __future__ import annotations

import contextlib
import json
import os
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
    student: Annotated[
        bool, typer.Option("--student", help="a book without solutions, each result behind a prediction")
    ] = False,
    instructor: Annotated[
        bool, typer.Option("--instructor", help="a book with solutions, what goes wrong, and notes")
    ] = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="a PDF of each chapter too, where Chromium or Chrome is found")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run the notebooks that are missing or out of date, then build the site."""
    from safetune_utils.book import site

    if student and instructor:
        raise SafetuneError("--student and --instructor are two books: build one, then the other")

    given = given_from(parameter, preset, config)
    if executed and given:
        raise SafetuneError(
            "--executed takes notebooks as they are: leave out --preset, -p and --config, or --executed"
        )
    clock = time.perf_counter()
    audience: site.teaching.Audience = "student" if student else "instructor" if instructor else "public"
    page, made = site.build(given=given, target=output, taken_from=executed, audience=audience, pdfs=pdf)
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


@app.command()
def lesson(
    number: Annotated[
        int, typer.Argument(help="which: 1 how much data, 2 too safe, 3 the form of a request")
    ] = 1,
    output: Annotated[Path, typer.Option(help="the page, one HTML file")] = Path("lesson.html"),
    preset: Preset = None,
    as_json: AsJson = False,
) -> None:
    """Train, ask and score what one page for a class shows, and write it; once stopped, it goes on."""
    from safetune_utils.data import outputs
    from safetune_utils.presets import resolve
    from safetune_utils.teaching import lessons

    lessons.lesson_of(number)
    resolve(preset=preset or lessons.PRESET)
    with outputs.held(output, forms=(".html",)):
        from safetune_utils.book import lesson as lesson_page

        os.environ.setdefault("SAFETUNE_LOG", "quiet")
        page, took = lesson_page.make(
            number,
            target=output,
            preset=preset or lessons.PRESET,
            tell=lambda line: say(line, error=True),
        )
    if as_json:
        say(json.dumps({"page": str(page), "seconds": round(took, 1)}))
        return
    minutes, seconds = divmod(round(took), 60)
    say(f"{page}\nthe lesson took {minutes} min {seconds} s; open the page in a browser")


@app.command()
def lab(
    output: Annotated[Path, typer.Argument(help="the instructor's notebook, for nbgrader's folder source/")],
    exercise: Annotated[
        list[str] | None, typer.Option(help="the function of an exercise, as often as you like")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a lab for a class, in nbgrader's form: each laptop has its own rows by the number on a card."""
    from safetune_utils.data import outputs
    from safetune_utils.teaching import lab as labs

    names = list(dict.fromkeys(exercise or labs.USUAL))
    labs.check_names(names)
    with outputs.held(output, forms=(".ipynb",)):
        import nbformat

        outputs.write_text(output, nbformat.writes(labs.lab(names)) + "\n")
    say(json.dumps({"lab": str(output), "exercises": names}) if as_json else output)
