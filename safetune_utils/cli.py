"""The command line: ``safetune`` or ``python -m safetune_utils``.

Exit status 0 only when the work is done; 2 for a mistake that its one line on standard error says how to mend.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from safetune_utils.errors import SafetuneError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
data_app = typer.Typer(no_args_is_help=True, help="Embedded and outside data sets.")
app.add_typer(data_app, name="data")
preference_app = typer.Typer(no_args_is_help=True, help="A blind study of whose answers people prefer.")
app.add_typer(preference_app, name="preference")

# Modules that bring torch are imported inside the commands, so that --help answers at once.

AsJson = Annotated[bool, typer.Option("--json", help="print JSON for a program to read")]
Assignments = Annotated[
    list[str] | None, typer.Option("-p", "--parameter", metavar="NAME VALUE", help="a notebook parameter, as with papermill: -p safety_amounts '[0, 100]'")
]


@app.command()
def run(
    notebook: Annotated[str, typer.Argument(help="path, name or number of a notebook: 01")],
    parameter: Assignments = None,
    preset: Annotated[str | None, typer.Option(help="smoke, classroom, pocket, course, paper, repository")] = None,
    output: Annotated[Path | None, typer.Option(help="where the executed copy goes; default: executed/NAME.ipynb")] = None,
    help_notebook: Annotated[bool, typer.Option("--help-notebook", help="print the notebook's parameters and stop")] = False,
) -> None:
    """Check a notebook's parameters, then run it with papermill."""
    from safetune_utils import notebooks

    path = notebooks.find(notebook)
    if help_notebook:
        for name, entry in notebooks.parameters(path).items():
            typer.echo(f"{name}: {entry['inferred_type_name']} = {entry['default']}\n    {entry['help']}")
        return
    target = output or Path("executed") / path.name
    notebooks.execute(path, given=_given(parameter, preset), output=target)
    typer.echo(target)


@app.command()
def book(
    preset: Annotated[str | None, typer.Option(help="smoke, classroom, pocket, course, paper, repository")] = None,
    parameter: Assignments = None,
    output: Annotated[Path | None, typer.Option(help="the folder to build in; default: _build of the repository")] = None,
    executed: Annotated[Path | None, typer.Option(help="a folder of executed notebooks to take as they are; a stale one fails the build")] = None,
) -> None:
    """Run the notebooks that are missing or out of date, then build the site."""
    from safetune_utils import site

    given = _given(parameter, preset)
    if executed and given:
        raise SafetuneError("--executed takes notebooks as they are: leave out --preset and -p, or leave out --executed")
    clock = time.perf_counter()
    page, made = site.build(given=given, target=output, taken_from=executed)
    minutes, seconds = divmod(round(time.perf_counter() - clock), 60)
    typer.echo(f"{page}\nexecuted {made} notebook(s); the book took {minutes} min {seconds} s")


@app.command()
def publish(
    name: Annotated[str, typer.Argument(help="what to call the run: small letters, digits and hyphens")],
    preset: Annotated[str | None, typer.Option(help="smoke, classroom, pocket, course, paper, repository")] = None,
    parameter: Assignments = None,
) -> None:
    """Run the notebooks that are missing or out of date, then write what they found into data/results/published/."""
    from safetune_utils import outcomes, site

    done, _ = site.executed(given=_given(parameter, preset))
    typer.echo(outcomes.publish(done.values(), name=name))


@app.command()
def compare(
    theirs: Annotated[str, typer.Argument(help="a run: a folder of executed notebooks, one executed notebook, or a published run's name")],
    ours: Annotated[str, typer.Argument(help="the run to lay it beside, likewise")] = "pocket",
    output: Annotated[Path | None, typer.Option(help="write the comparison as one HTML page, too")] = None,
    as_json: AsJson = False,
) -> None:
    """Lay one run beside another: each number with its interval, and whether their difference is inside the noise."""
    from safetune_utils import compare as comparing
    from safetune_utils import outcomes

    sides = outcomes.read(theirs), outcomes.read(ours)
    rows, apart = comparing.compare(*sides), comparing.settings_apart(*sides)
    if output:
        output.write_text(comparing.page(rows, theirs=theirs, ours=ours, apart=apart), "utf-8")
    if as_json:
        typer.echo(json.dumps({"rows": rows, "settings_apart": apart}, indent=1))
    else:
        typer.echo(_table(comparing.shown(rows), comparing.COLUMNS))
        typer.echo("\n".join(["", comparing.summary(rows), comparing.RULE, *(f"differs: {line}" for line in apart)]))
        if output:
            typer.echo(output)


@app.command()
def finetune(
    base: Annotated[str, typer.Option(help="embedded, a Hugging Face id or a folder")] = "embedded",
    data: Annotated[str, typer.Option(help="embedded, paper, paper-sample or a folder")] = "embedded",
    amount: Annotated[int, typer.Option(help="safety examples")] = 100,
    format: Annotated[str, typer.Option(help="instruction, question or mixed")] = "instruction",
    seed: Annotated[int, typer.Option()] = 0,
    preset: Annotated[str, typer.Option(help="where all other settings come from")] = "pocket",
    output: Annotated[Path, typer.Option(help="a new folder for the adapter")] = Path("adapter"),
) -> None:
    """Train one adapter and copy it to a folder, in PEFT's form.

    With several GPUs, one process trains on each; SAFETUNE_PROCESSES sets their number. Or start them yourself, with
    `accelerate launch --multi_gpu -m safetune_utils finetune ...`: they train straight into the folder.
    """
    from safetune_utils import parallel
    from safetune_utils.study import Study

    if output.exists():
        raise SafetuneError(f"{output} is there already: choose another --output, or remove it")
    study = Study.safety_amount(prompt_sets=[], preset=preset, base_model=base, data=data, safety_amounts=[amount], safety_format=format, seeds=[seed])
    if parallel.world() > 1:
        study.train(study.runs[0], output=output)
    else:
        shutil.copytree(study.adapter_folder(study.runs[0]), output)
    if parallel.rank() == 0:
        typer.echo(output)


@app.command("train-together", hidden=True)
def train_together(order: str, facts: Path) -> None:
    """What each process of a training in several runs; :meth:`Study.train` starts it."""
    from safetune_utils import parallel
    from safetune_utils.settings import Settings
    from safetune_utils.study import Run, Study

    told = json.loads(order)
    study = Study(Settings.model_validate(told["settings"]), ())
    checkpoint = Path(told["checkpoint"]) if told["checkpoint"] else None
    found = study.train(Run(told["n_safety"], told["seed"]), output=Path(told["output"]), checkpoint=checkpoint)
    if parallel.rank() == 0:
        facts.write_text(json.dumps(found), "utf-8")


@app.command()
def generate(
    input: Annotated[str, typer.Option(help="prompts in any form: JSONL, the original's JSON, CSV, Parquet or a Hugging Face id")],
    output: Annotated[Path, typer.Option(help="JSONL of prompt and response, or the original's output form for a .json name")],
    base: Annotated[str, typer.Option()] = "embedded",
    adapter: Annotated[Path | None, typer.Option(help="a folder in PEFT's form")] = None,
    decoding: Annotated[str, typer.Option(help="greedy, or paper: 4 beams, 128 new tokens, no sampling")] = "greedy",
    num_beams: Annotated[int | None, typer.Option(help="1 is greedy")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="longest answer, in tokens")] = 128,
    batch_size: Annotated[int, typer.Option(help="prompts answered at once")] = 16,
    temperature: Annotated[float | None, typer.Option(help="above 0 draws")] = None,
    sampling_seed: Annotated[int | None, typer.Option(help="decides what is drawn")] = None,
) -> None:
    """Answer the prompts of a file."""
    from safetune_utils import data, models, prompt_files
    from safetune_utils.generate import generate as answer
    from safetune_utils.settings import resolve_decoding

    how = resolve_decoding(
        decoding, num_beams=num_beams, max_new_tokens=max_new_tokens, batch_size=batch_size, temperature=temperature, sampling_seed=sampling_seed
    )
    prompts = data.read_prompts(input, repeats=True)
    model, tokenizer = models.load_base(base)
    if adapter is not None:
        model = models.load_adapter(model, adapter)
    texts, inputs = [prompt.text for prompt in prompts], [prompt.input for prompt in prompts]
    answers = answer(model=model, tokenizer=tokenizer, instructions=texts, inputs=inputs, decoding=how, progress="answering")
    prompt_files.write_responses(output, prompts=prompts, responses=[a.text for a in answers], model=base, adapter=adapter)
    typer.echo(output)


@app.command()
def score(
    input: Annotated[Path, typer.Option(help='JSONL of {"prompt", "response"}, or the original\'s output form')],
    output: Annotated[Path, typer.Option(help="JSONL, one score a line, in the input's order")],
    scorer: Annotated[str, typer.Option(help="an instrument's name; `safetune instruments` lists them")] = "refusal",
    base_url: Annotated[str | None, typer.Option(help="for moderation and a judge: the server's address, up to and with /v1")] = None,
    model: Annotated[str | None, typer.Option(help="for moderation and a judge: the model, as that server knows it")] = None,
    cap_usd: Annotated[float | None, typer.Option(help="for a judge: the most to spend; nothing is asked if it could cost more")] = None,
) -> None:
    """Score the answers of a file."""
    from safetune_utils import instruments, prompt_files
    from safetune_utils.records import write_lines

    if not output.parent.is_dir():
        raise SafetuneError(f"the folder of {output} is not there: make it first")
    prompts, responses = prompt_files.read_responses(input)
    scores = instruments.score(scorer, prompts, responses, base_url=base_url, model=model, cap_usd=cap_usd)
    write_lines(output, [one.line() for one in scores])
    values = [one.value for one in scores if one.value is not None]
    mean = f", mean {sum(values) / len(values):.3f} ({instruments.INSTRUMENTS[scorer].values})" if values else ""
    typer.echo(f"{len(values)} of {len(scores)} scored{mean}: {output}")


@app.command("instruments")
def instruments_list(as_json: AsJson = False) -> None:
    """Every instrument: what it measures, its range and direction, what it needs."""
    from safetune_utils.instruments import INSTRUMENTS

    rows = [{"scorer": name, "measures": card.measures, "values": card.values, "needs": card.needs} for name, card in INSTRUMENTS.items()]
    typer.echo(json.dumps(rows, indent=1) if as_json else _table(rows, ["scorer", "measures", "values", "needs"]))


@app.command("train-instrument")
def train_instrument(name: Annotated[str, typer.Argument(help="refusal or harmfulness")]) -> None:
    """Train one of the book's own instruments on labelled outside data, measure it, and write its weights and results into data/."""
    from safetune_utils import scorer_training

    publish = {"refusal": scorer_training.publish_refusal, "harmfulness": scorer_training.publish_harmfulness}
    if name not in publish:
        raise SafetuneError(f"there is no instrument '{name}' to train: choose {' or '.join(publish)}")
    typer.echo(json.dumps(publish[name](), indent=1))


@app.command()
def estimate(
    preset: Annotated[str | None, typer.Option(help="smoke, classroom, pocket, course, paper, repository")] = None,
    base: Annotated[str | None, typer.Option(help="embedded, a Hugging Face id or a folder; default: the preset's")] = None,
    card: Annotated[str, typer.Option(help="T4, A100-40, …; this-machine; auto takes its GPU or else its CPU")] = "auto",
    parameter: Assignments = None,
    prompt_set: Annotated[list[str] | None, typer.Option(help="a prompt set to answer, as often as you like; default: all of the data's")] = None,
    as_json: AsJson = False,
) -> None:
    """Predict the memory, time and disk of a study, with the counts behind them."""
    from safetune_utils import estimate as forecast
    from safetune_utils.settings import resolve

    given = _given(parameter, preset) | ({"base_model": base} if base else {})
    found = forecast.estimate(settings=resolve(**given), card=card, prompt_sets=prompt_set or None)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        typer.echo(_table(forecast.table(found), ["what", "counts", "value"]))
        typer.echo("\n".join(["", "assumed:", *(f"- {line}" for line in found["assumed"]), "", found["verdict"]]))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has and what is missing, each with its mend."""
    from safetune_utils import checkup

    findings = checkup.findings()
    if as_json:
        typer.echo(json.dumps(findings, indent=1))
    else:
        for finding in findings:
            typer.echo(f"{'ok ' if finding['ok'] else 'NO '} {finding['what']}: {finding['found']}" + ("" if finding["ok"] else f" -> {finding['mend']}"))
    if not all(finding["ok"] for finding in findings):
        raise typer.Exit(1)


FirstAnswers = Annotated[Path, typer.Option(help="the first model's answers, in a form that `safetune score` reads; the win rate will be its")]
SecondAnswers = Annotated[Path, typer.Option(help="the second model's answers to the same prompts, in the same order")]


@preference_app.command("make")
def preference_make(
    first: FirstAnswers,
    second: SecondAnswers,
    output: Annotated[Path, typer.Option(help="the page, one HTML file that needs nothing else")],
    seed: Annotated[int, typer.Option(help="decides which side is whose; keep it from those who judge")] = 0,
    title: Annotated[str, typer.Option()] = "Which answer is better?",
) -> None:
    """Make the page on which people judge two models' answers, side by side and blind."""
    from safetune_utils.scoring import preference

    items = _preference_items(first, second, seed)
    output.write_text(preference.page(items, title=title), "utf-8")
    typer.echo(f"{len(items)} pairs: {output}")


@preference_app.command("tally")
def preference_tally(
    first: FirstAnswers,
    second: SecondAnswers,
    annotations: Annotated[list[Path], typer.Argument(help="the files that the page exported")],
    seed: Annotated[int, typer.Option(help="the one that the page was made with")] = 0,
    as_json: AsJson = False,
) -> None:
    """Count what annotators found: win rate of the first model, and their agreement."""
    from safetune_utils.scoring import preference

    items = _preference_items(first, second, seed)
    read = [preference.read_annotation(path, items=items) for path in annotations]
    tables = [preference.tally(read, items)] + ([preference.agreement(read, items)] if len(read) > 1 else [])
    if as_json:
        typer.echo(json.dumps([json.loads(table.to_json(orient="records")) for table in tables], indent=1))
    else:
        typer.echo("\n\n".join(table.round(3).to_string(index=False) for table in tables))


def _preference_items(first: Path, second: Path, seed: int) -> list[Any]:
    from safetune_utils import prompt_files
    from safetune_utils.scoring import preference

    prompts, answers = prompt_files.read_responses(first)
    prompts_too, others = prompt_files.read_responses(second)
    if prompts != prompts_too:
        raise SafetuneError(f"{first} and {second} do not answer the same prompts in the same order: generate both from one file")
    return preference.pairs(prompts, answers, others, first_name=first.stem, second_name=second.stem, seed=seed)


@app.command()
def capability(
    task: Annotated[list[str], typer.Option(help="four_choice (embedded), boolq, piqa, openbookqa; as often as you like")],
    base: Annotated[str, typer.Option(help="embedded, a Hugging Face id or a folder")] = "embedded",
    adapter: Annotated[Path | None, typer.Option(help="a folder in PEFT's form")] = None,
    limit: Annotated[int | None, typer.Option(help="only the first so many questions of each task")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure what a model can do, with lm-evaluation-harness."""
    from safetune_utils import capability as harness
    from safetune_utils import models

    model, tokenizer = models.load_base(base)
    if adapter is not None:
        model = models.load_adapter(model, adapter)
    table = harness.evaluate(model=model, tokenizer=tokenizer, tasks=task, limit=limit)
    typer.echo(table.to_json(orient="records", indent=1) if as_json else table.round(3).to_string(index=False))


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """Every set: embedded with its rows, outside with where it is and its licence."""
    from safetune_utils import data

    rows = data.listing()
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        typer.echo(_table(rows, ["name", "where", "rows", "size", "licence", "tests"]))


@data_app.command("fetch")
def data_fetch(names: Annotated[list[str], typer.Argument(help="names from `safetune data list`")]) -> None:
    """Fetch outside sets to the cache and verify them."""
    from safetune_utils import data

    for name in names:
        path = data.fetch(name)
        entry = data.register()[name]
        terms = f"{entry.licence}, non-commercial use only" if entry.non_commercial else entry.licence
        typer.echo(f"{name}: {path}\n  {terms}; {entry.citation}")


@data_app.command("verify")
def data_verify() -> None:
    """Check every outside set that is in the cache or on the mirror against its hash, and the paper's mixes against its sets."""
    from safetune_utils import data

    wrong = 0
    for name, fault in data.verify():
        typer.echo(fault or f"ok {name}")
        wrong += bool(fault)
    if wrong:
        raise SafetuneError(f"{wrong} file(s) have the wrong hash: delete them and fetch them again")
    for amount in data.PAPER_AMOUNTS:
        if all(data.is_at_hand(name) for name in (f"mix-{amount}", "alpaca-20000", "safety-instructions")):
            mix = data.compare_paper_mix(amount)
            typer.echo(
                f"{'ok' if mix.same else 'NOT THE SAME'} mix-{amount}: {mix.rows} rows, {mix.general} of alpaca-20000 ({mix.general_missing} missing), "
                f"{mix.safety} of safety-instructions, {mix.foreign} of neither"
            )
        else:
            typer.echo(f"not compared: mix-{amount} (it, alpaca-20000 or safety-instructions is not at hand)")


@data_app.command("overlap")
def data_overlap(
    source: Annotated[str, typer.Argument(help="embedded, paper, paper-sample or a folder")] = "embedded",
    as_json: AsJson = False,
) -> None:
    """Count the test prompts that are also trained on, exactly or nearly, for every pair of sets of a source."""
    from safetune_utils import data

    rows = data.overlaps(source)
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        typer.echo(_table(rows, ["train", "test", "title", "prompts", "exact", "near", "highest"]))


def _table(rows: list[dict[str, object]], columns: list[str]) -> str:
    """Rows as text in columns; numbers to the right."""
    cells = [columns, *[["" if row[name] is None else str(row[name]) for name in columns] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    numeric = [all(isinstance(row[name], (int, float, type(None))) for row in rows) for name in columns]
    return "\n".join(
        "  ".join(cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(line, widths, numeric, strict=True)).rstrip() for line in cells
    )


def _given(assignments: list[str] | None, preset: str | None) -> dict[str, object]:
    from safetune_utils.notebooks import parse_value

    given: dict[str, object] = {"preset": preset} if preset else {}
    for assignment in assignments or []:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise SafetuneError(f"parameter '{assignment}' has no value: write -p NAME VALUE")
        given[name.strip()] = parse_value(value)
    return given


def _joined_pairs(arguments: list[str]) -> list[str]:
    """Turn papermill's ``-p NAME VALUE`` into the one word ``NAME=VALUE`` that a repeated option can take."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word in ("-p", "--parameter") and len(rest) > 1 and "=" not in rest[0]:
            joined.append(f"{rest.pop(0)}={rest.pop(0)}")
    return joined


def main() -> None:
    """Run the command line; a mistake is one line on standard error."""
    sys.argv[1:] = _joined_pairs(sys.argv[1:])
    try:
        app()
    except SafetuneError as error:
        print(f"safetune: {error}", file=sys.stderr)
        sys.exit(2)
