"""Files of responses: JSON Lines, and the output form of the original repository.

The original writes ``{"parameters": {...}, "inputs": [...], "instructions": [...], "outputs": [...]}``, with
``null`` for a missing input. A file named ``.json`` is written in that form, any other as one record a line.
Both are read, and so is every form of :mod:`safetune_utils.data.files`.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetune_utils.data import Prompt, read_table
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.files import write_text
from safetune_utils.store import write_lines

_RESPONSE = ("response", "output")
_REQUEST = ("prompt", "instruction")


def read_responses(path: Path) -> tuple[list[str], list[str]]:
    """Prompts and responses of a file: ``prompt`` or ``instruction``, and ``response`` or ``output``, which
    may be empty.

    Raises:
        SafetuneError: the file cannot be read, or a row has no prompt or no response.
    """
    table = read_table(path)
    prompts: list[str] = []
    responses: list[str] = []
    for number, row in enumerate(table.rows, start=1):
        for names, texts in ((_REQUEST, prompts), (_RESPONSE, responses)):
            value = next((row[name] for name in names if isinstance(row.get(name), str)), None)
            if value is None:
                raise SafetuneError(
                    f"{table.title}, row {number} has no text under '{' or '.join(names)}': "
                    "each row needs a prompt and a response"
                )
            texts.append(value)
    return prompts, responses


def write_responses(
    path: Path, *, prompts: list[Prompt], responses: list[str], model: str, adapter: Path | None
) -> None:
    """Write responses: in the original's output form for a ``.json`` name, else one record a line.

    Args:
        path: the file; its folder is made where it is missing.
        prompts, responses: one response for each prompt, in the same order.
        model: the base model's name.
        adapter: the adapter's folder; ``None`` where there was none.
    """
    if path.suffix == ".json":
        content = {
            "parameters": {
                "model": model,
                "prompt_template": "alpaca",
                "lora_weights": str(adapter or ""),
                "load_8bit": False,
            },
            "inputs": [prompt.input or None for prompt in prompts],
            "instructions": [prompt.text for prompt in prompts],
            "outputs": responses,
        }
        write_text(path, json.dumps(content, ensure_ascii=False, indent=4) + "\n")
    else:
        shown = (
            {"id": p.id, "prompt": p.text} | ({"input": p.input} if p.input else {}) | {"response": r}
            for p, r in zip(prompts, responses, strict=True)
        )
        write_lines(path, list(shown))
