"""Files of responses: JSON Lines, and the output form of the original repository.

The original writes ``{"parameters": {...}, "inputs": [...], "instructions": [...], "outputs": [...]}``, with
``null`` for a missing input. A file named ``.json`` is written in that form, any other as records. Both are
read, and so is every form of :mod:`safetune_utils.data.files`.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetune_utils.data import Prompt, outputs, read_examples, whole_request
from safetune_utils.data.files import Fault, form_of, refuse
from safetune_utils.data.user_rows import AS_IT_IS
from safetune_utils.errors import SafetuneError
from safetune_utils.models.template import ALPACA
from safetune_utils.settings import Reading


def read_responses(path: str | Path, *, reading: Reading = AS_IT_IS) -> tuple[list[str], list[str]]:
    """Requests and responses of a file, in any form that rows to train on may have.

    Args:
        path: the file.
        reading: which columns have other names, and what words such as ``nan`` mean as an input.

    Returns:
        What was asked, instruction and input as one text (:func:`safetune_utils.data.whole_request`), and
        what was said, which may be empty.

    Raises:
        SafetuneError: the file cannot be read, or rows have no request or no response.
    """
    rows = read_examples(path, reading=reading, are_responses=True)
    return [whole_request(row.instruction, row.input) for row in rows], [row.output for row in rows]


def check_paired(first: Path, second: Path, prompts: tuple[list[str], list[str]]) -> None:
    """Check that two files answer the same requests, instruction and input, in the same order.

    Args:
        first, second: the files.
        prompts: what was asked, as :func:`read_responses` gives it for each.

    Raises:
        SafetuneError: they do not; the message has the rows, and what was asked in each file.
    """
    title = f"{first} and {second}"
    if len(prompts[0]) != len(prompts[1]):
        raise SafetuneError(
            f"{title} have {len(prompts[0])} and {len(prompts[1])} rows: generate both from one file"
        )
    refuse(
        title,
        [
            Fault(number, f"{_short(one)} here, {_short(other)} there", "generate both from one file")
            for number, (one, other) in enumerate(zip(*prompts, strict=True), start=1)
            if one != other
        ],
    )


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:30]} … {text[-27:]}")


def write_responses(
    path: Path,
    *,
    prompts: list[Prompt],
    responses: list[str],
    model: str,
    adapter: Path | None,
    template: str = ALPACA,
) -> None:
    """Write responses: in the original's output form for a ``.json`` name, else as records in the form of the
    name, see :mod:`safetune_utils.data.outputs`.

    Args:
        path: the file.
        prompts, responses: one response for each prompt, in the same order.
        model: the base model's name.
        adapter: the adapter's folder; ``None`` where there was none.
        template: the form in which the prompts were asked.
    """
    rows = [
        {"id": p.id, "prompt": p.text} | ({"input": p.input} if p.input else {}) | {"response": r}
        for p, r in zip(prompts, responses, strict=True)
    ]
    if form_of(path) != ".json":
        outputs.write_rows(path, rows)
    else:
        content = {
            "parameters": {
                "model": model,
                "prompt_template": template,
                "lora_weights": str(adapter or ""),
                "load_8bit": False,
            },
            "inputs": [prompt.input or None for prompt in prompts],
            "instructions": [prompt.text for prompt in prompts],
            "outputs": responses,
        }
        text = json.dumps(content, ensure_ascii=False, indent=4) + "\n"
        outputs.write_text(path, text)
