"""The program: every group of commands, and how a mistake is told."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from typing import Annotated

import typer

from safetune_utils.cli import book, data, models, people, run, score
from safetune_utils.cli.common import AsJson, app
from safetune_utils.errors import SafetuneError

__all__ = ["app", "book", "data", "main", "models", "people", "run", "score"]


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(importlib.metadata.version("safetune-utils"))
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="print the version and stop"),
    ] = False,
) -> None:
    """What all commands share."""


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has and what is missing, each with its mend."""
    from safetune_utils import doctor as checks

    findings = checks.findings()
    if as_json:
        typer.echo(json.dumps(findings, indent=1))
    else:
        for finding in findings:
            typer.echo(
                f"{'ok ' if finding['ok'] else 'NO '} {finding['what']}: {finding['found']}"
                + ("" if finding["ok"] else f" -> {finding['mend']}")
            )
    if not all(finding["ok"] for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; a mistake is one line on standard error."""
    sys.argv[1:] = _joined_pairs(sys.argv[1:])
    try:
        app()
    except SafetuneError as error:
        print(f"safetune: {error}", file=sys.stderr)
        sys.exit(2)


def _joined_pairs(arguments: list[str]) -> list[str]:
    """Turn papermill's ``-p NAME VALUE`` into the one word ``NAME=VALUE`` that a repeated option can take."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word in ("-p", "--parameter") and len(rest) > 1 and "=" not in rest[0]:
            joined.append(f"{rest.pop(0)}={rest.pop(0)}")
    return joined
