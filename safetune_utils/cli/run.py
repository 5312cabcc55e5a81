"""Run a notebook with parameters of your own, and say beforehand what a run takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from safetune_utils.cli.common import AsJson, Assignments, Config, Preset, app, given_from, save_config, table
from safetune_utils.terminal import say

# What brings torch is imported inside the commands, so that --help answers at once.


@app.command()
def run(
    notebook: Annotated[str, typer.Argument(help="path, name or number of a notebook: 01")],
    parameter: Assignments = None,
    preset: Preset = None,
    output: Annotated[
        Path | None, typer.Option(help="where the executed copy goes; default: executed/NAME.ipynb")
    ] = None,
    config: Config = None,
    write_config: Annotated[
        Path | None,
        typer.Option("--save-config", help="write the parameters into a YAML file for --config and stop"),
    ] = None,
    help_notebook: Annotated[
        bool, typer.Option("--help-notebook", help="print the notebook's parameters and stop")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a notebook's parameters, then run it with papermill."""
    from safetune_utils.book import begin, notebooks, parameters, stating
    from safetune_utils.data import outputs

    path = parameters.find(notebook)
    if help_notebook:
        names = ("name", "type", "default", "meaning")
        if as_json:
            rows = [dict(zip(names, row, strict=True)) for row in parameters.described(path)]
            say(json.dumps(rows, indent=1))
            return
        for name, kind, default, meaning in parameters.described(path):
            say(f"{name}: {kind} = {default}\n    {meaning}")
        return
    target = output or Path("executed") / path.name
    given = given_from(parameter, preset, config)
    begin.check_parameters([(path, given)])
    if write_config:
        save_config(write_config, given)
        say(write_config)
        return
    with outputs.held(target, forms=(".ipynb",), apart_from=[path]):
        stating.check(path, given)
        notebooks.execute(path, given=given, output=target)
    say(json.dumps({"executed": str(target)}) if as_json else target)


@app.command()
def estimate(
    preset: Preset = None,
    base: Annotated[
        str | None, typer.Option(help="embedded, a Hugging Face id or a folder; default: the preset's")
    ] = None,
    hardware: Annotated[
        str, typer.Option(help="T4, A100-40, …; this-machine; auto takes its GPU or else its CPU")
    ] = "auto",
    card: Annotated[str | None, typer.Option(hidden=True, help="the old name of --hardware")] = None,
    parameter: Assignments = None,
    prompt_set: Annotated[
        list[str] | None,
        typer.Option(help="a prompt set to answer, as often as you like; default: all of the data's"),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Predict the memory, time and disk of a study, with the counts behind them."""
    from safetune_utils.estimate import estimate as forecast
    from safetune_utils.estimate import report
    from safetune_utils.presets import resolve

    if card is not None:
        say("safetune: --card is now --hardware; the old name still works", error=True)
        hardware = card
    given = given_from(parameter, preset, config) | ({"base_model": base} if base else {})
    settings = resolve(**given)
    found = forecast.estimate(settings=settings, hardware=hardware, prompt_sets=prompt_set or None)
    if found is None:
        verdict = (
            f"unknown: base model '{settings.base_model}' has parts that are not counted here; it can be "
            "trained and asked all the same"
        )
        say(json.dumps({"verdict": verdict}) if as_json else verdict)
    elif as_json:
        say(json.dumps(found, indent=1))
    else:
        say(table(report.table(found), ["what", "counts", "value"]))
        say("\n".join(["", "assumed:", *(f"- {line}" for line in found["assumed"]), "", found["verdict"]]))
