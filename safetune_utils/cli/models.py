"""Train one adapter, generate responses, measure what a model can do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from safetune_utils.cli.common import AsJson, Columns, WordsForNothing, app, reading_from
from safetune_utils.errors import SafetuneError, first_line, of_system
from safetune_utils.terminal import say

if TYPE_CHECKING:
    from safetune_utils.data import Prompt
    from safetune_utils.settings import Decoding

_Template = Annotated[
    Literal["alpaca", "chat"],
    typer.Option(help="the form of a prompt; chat is that of the base model's own tokenizer"),
]

_Adapter = Annotated[
    str | None,
    typer.Option(help="a folder in PEFT's form, or a Hugging Face id: org/name, org/name@revision"),
]

# What brings torch is imported inside the commands, so that --help answers at once.


@app.command()
def finetune(
    base: Annotated[str, typer.Option(help="embedded, a Hugging Face id or a folder")] = "embedded",
    data: Annotated[str, typer.Option(help="embedded, paper, paper-sample or a folder")] = "embedded",
    amount: Annotated[int, typer.Option(help="safety examples")] = 100,
    format: Annotated[str, typer.Option(help="instruction, question or mixed")] = "instruction",
    seed: Annotated[int, typer.Option()] = 0,
    template: _Template = "alpaca",
    columns: Columns = "",
    words_for_nothing: WordsForNothing = "ask",
    preset: Annotated[str, typer.Option(help="where all other settings come from")] = "pocket",
    output: Annotated[Path, typer.Option(help="a new folder for the adapter")] = Path("adapter"),
    as_json: AsJson = False,
) -> None:
    """Train one adapter and copy it to a folder, in PEFT's form.

    With several GPUs, one process trains on each; SAFETUNE_PROCESSES sets their number. Or start them
    yourself, with `accelerate launch --multi_gpu -m safetune_utils finetune ...`: they train straight into
    the folder.
    """
    from safetune_utils.data import outputs
    from safetune_utils.machine import distributed
    from safetune_utils.study import begin, stages
    from safetune_utils.study.design import state

    if output.exists():
        raise SafetuneError(f"{output} is there already: choose another --output, or remove it")
    study = state(
        prompt_sets=[],
        preset=preset,
        base_model=base,
        data=data,
        safety_amounts=[amount],
        safety_format=format,
        seeds=[seed],
        template=template,
        reading=reading_from(columns, words_for_nothing),
    )
    if distributed.world_size() > 1:
        begin.check([study], only_trained=True)
        stages.train(study, study.runs[0], output=output)
    else:
        with outputs.held(output, forms=()):
            begin.check([study], only_trained=True)
            _copy(stages.adapter_folder(study, study.runs[0]), output)
    if distributed.rank() == 0:
        say(json.dumps({"adapter": str(output)}) if as_json else output)


@app.command()
def generate(
    input: Annotated[
        str,
        typer.Option(
            help="prompts in any form: JSONL, the original's JSON, CSV, Parquet or a Hugging Face id"
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            help="prompts and responses: .jsonl, .csv, .parquet, or .json in the original's output form; also"
            " with .gz"
        ),
    ],
    base: Annotated[str, typer.Option()] = "embedded",
    adapter: _Adapter = None,
    server: Annotated[
        str | None,
        typer.Option(help="in place of --base and --adapter: a server's address, up to and with /v1"),
    ] = None,
    served_model: Annotated[
        str | None, typer.Option(help="the model or adapter, as that server knows it")
    ] = None,
    decoding: Annotated[
        str, typer.Option(help="greedy, or paper: 4 beams, 128 new tokens, no sampling")
    ] = "greedy",
    num_beams: Annotated[int | None, typer.Option(help="1 is greedy")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="longest answer, in tokens")] = 128,
    batch_size: Annotated[int, typer.Option(help="prompts answered at once")] = 16,
    temperature: Annotated[float | None, typer.Option(help="above 0 draws")] = None,
    sampling_seed: Annotated[int | None, typer.Option(help="decides what is drawn")] = None,
    template: _Template = "alpaca",
    columns: Columns = "",
    words_for_nothing: WordsForNothing = "ask",
    as_json: AsJson = False,
) -> None:
    """Answer the prompts of a file."""
    from safetune_utils import data
    from safetune_utils.data import outputs
    from safetune_utils.presets import resolve_decoding
    from safetune_utils.settings import Reading, checked, name_and_revision
    from safetune_utils.study import begin

    how = resolve_decoding(
        decoding,
        num_beams=num_beams,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        temperature=temperature,
        sampling_seed=sampling_seed,
    )
    reading = checked(Reading, reading_from(columns, words_for_nothing))
    base, revision = name_and_revision(base)
    folder = None
    if server is None:
        folder = _adapter_folder(adapter)
        begin.check_model(base, folder)
    elif base != "embedded" or adapter:
        raise SafetuneError(
            "--server asks what the server has loaded: leave out --base and --adapter, and name the model or"
            " adapter by --served-model"
        )
    elif not served_model:
        raise SafetuneError("--server needs --served-model: the model's name, as the server knows it")
    with outputs.held(output, apart_from=[input]):
        prompts = data.read_prompts(input, repeats=True, reading=reading)

        from safetune_utils.generation import from_server, response_files

        if server and served_model:
            base, template = served_model, "chat"
            responses = from_server.generate(prompts, base_url=server, model=served_model, decoding=how)
        else:
            responses = _answers(
                prompts, base=base, revision=revision, adapter=folder, decoding=how, template=template
            )
        response_files.write_responses(
            output, prompts=prompts, responses=responses, model=base, adapter=folder, template=template
        )
    say(json.dumps({"output": str(output), "responses": len(responses)}) if as_json else output)


@app.command()
def push(
    adapter: Annotated[Path, typer.Argument(help="a folder that `safetune finetune` wrote")],
    to: Annotated[str, typer.Argument(help="org/name on the Hugging Face hub")],
    scores: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT=FILE",
            help="what `safetune score` measured of its answers, for the card; as often as you like",
        ),
    ] = None,
    private: Annotated[bool, typer.Option(help="only for those whom you let in")] = False,
    card_only: Annotated[bool, typer.Option("--card-only", help="print the card and push nothing")] = False,
    as_json: AsJson = False,
) -> None:
    """Push an adapter to the Hugging Face hub, with a card made from its record: base model, data and its
    terms, recipe, measured numbers with intervals, limits.
    """
    from safetune_utils.book.model_card import card
    from safetune_utils.models import hub

    if not hub.is_id(to) or "@" in to:
        raise SafetuneError(f"'{to}' is no name on the hub: write org/name")
    pairs = [one.partition("=") for one in scores or []]
    if not all(what.strip() and equals and file for what, equals, file in pairs):
        raise SafetuneError("--scores takes WHAT=FILE, such as 'refusals of my prompts=scores.jsonl'")
    if odd := next((what for what, _, _ in pairs if not what.isprintable()), None):
        raise SafetuneError(f"--scores names {odd!a}: write on one line what was measured")
    text = card(adapter, scores={what.strip(): Path(file) for what, _, file in pairs})
    if card_only:
        say(text)
        return
    address = hub.push_adapter(adapter, to=to, card=text, private=private)
    say(json.dumps({"pushed": address}) if as_json else address)


model_app = typer.Typer(no_args_is_help=True, help="The embedded model.")
app.add_typer(model_app, name="model")


@model_app.command("install")
def model_install(as_json: AsJson = False) -> None:
    """Install the embedded model, 94 MB, and compare its hash."""
    from safetune_utils.models import install

    path, missing = install.install()
    if as_json:
        say(json.dumps({"file": str(path), "installed_now": missing}))
    else:
        say(f"{path}: {'installed' if missing else 'was there already'}, its hash is right")


@model_app.command("path")
def model_path(as_json: AsJson = False) -> None:
    """Say in which folder the embedded model is, in the form that other programs read."""
    from safetune_utils.models.embedded import embedded_folder

    folder = embedded_folder()
    say(json.dumps({"folder": str(folder)}) if as_json else folder)


@app.command()
def capability(
    task: Annotated[
        list[str], typer.Option(help="four_choice (embedded), boolq, piqa, openbookqa; as often as you like")
    ],
    base: Annotated[str, typer.Option(help="embedded, a Hugging Face id or a folder")] = "embedded",
    adapter: _Adapter = None,
    limit: Annotated[int | None, typer.Option(help="only the first so many questions of each task")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure what a model can do, with lm-evaluation-harness."""
    from safetune_utils.scoring import capability as harness
    from safetune_utils.settings import name_and_revision
    from safetune_utils.study import begin

    harness.check_asked(task, limit=limit)
    base, revision = name_and_revision(base)
    folder = _adapter_folder(adapter)
    begin.check_model(base, folder)
    model, tokenizer = _loaded(base, folder, revision=revision)
    table = harness.evaluate(model=model, tokenizer=tokenizer, tasks=task, limit=limit)
    say(table.to_json(orient="records", indent=1) if as_json else table.round(3).to_string(index=False))


def _answers(
    prompts: list[Prompt],
    *,
    base: str,
    revision: str | None,
    adapter: Path | None,
    decoding: Decoding,
    template: str,
) -> list[str]:
    """What a model on this machine answers."""
    from safetune_utils.generation import generate as generation
    from safetune_utils.generation.prompts import check_prompts
    from safetune_utils.machine.memory import enough_memory
    from safetune_utils.models.checks import check_base

    config, tokenizer = check_base(base, revision=revision)
    check_prompts(
        prompts, name=base, config=config, tokenizer=tokenizer, decoding=decoding, template=template
    )
    model, tokenizer = _loaded(base, adapter, revision=revision)
    with enough_memory(f"lower --batch-size (now {decoding.batch_size})"):
        responses = generation.generate(
            model=model,
            tokenizer=tokenizer,
            instructions=[prompt.text for prompt in prompts],
            inputs=[prompt.input for prompt in prompts],
            decoding=decoding,
            template=template,
            progress="answering",
        )
    return [one.text for one in responses]


def _adapter_folder(adapter: str | None) -> Path | None:
    """The folder of an adapter, fetched from the Hugging Face hub where its name is an id there."""
    if adapter is None or Path(adapter).expanduser().exists():
        return Path(adapter).expanduser() if adapter else None
    from safetune_utils.models import hub

    return hub.fetch_adapter(adapter) if hub.is_id(adapter) else Path(adapter)


def _copy(adapter: Path, output: Path) -> None:
    """Copy a trained adapter, whole or not at all.

    Raises:
        SafetuneError: it cannot be written there; the message says where the adapter is.
    """
    partial = output.with_name(f"{output.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(adapter, partial)
        partial.rename(output)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise SafetuneError(
            f"{output} could not be written ({of_system(error)}); the adapter is in {adapter}: copy it from"
            " there"
        ) from None


def _loaded(base: str, adapter: Path | None, *, revision: str | None = None) -> tuple[Any, Any]:
    """A base model with an adapter on it, and its tokenizer.

    Raises:
        SafetuneError: one of them cannot be loaded; an adapter's files are checked before the base model is
            loaded.
    """
    from safetune_utils.models.adapters import check_adapter, load_adapter
    from safetune_utils.models.base_model import load_base

    if adapter is not None:
        check_adapter(adapter)
    try:
        model, tokenizer = load_base(base, revision=revision)
        return model if adapter is None else load_adapter(model, adapter), tokenizer
    except (SafetuneError, OSError, MemoryError):
        raise
    except Exception as error:  # the libraries raise many kinds
        what = f"the adapter in {adapter} on '{base}'" if adapter else f"'{base}'"
        raise SafetuneError(
            f"{what} cannot be loaded ({type(error).__name__}: {first_line(error)}): see whether its files "
            "are whole, and made for one another"
        ) from None
