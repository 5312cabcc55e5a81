"""Files of prompts and answers: JSON Lines, and the original repository's JSON forms.

The original reads ``{"instructions": [...], "inputs": []}`` and writes ``{"parameters": {...}, "inputs": [...],
"instructions": [...], "outputs": [...]}``; a file named ``.json`` is in these forms, ``.jsonl`` is one record a line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetune_utils.errors import SafetuneError
from safetune_utils.records import read_lines, write_lines


def read_prompts(path: Path) -> list[str]:
    """The prompts of a file: records with ``prompt`` or ``instruction``, or the original's ``instructions``."""
    content = _read(path)
    if isinstance(content, dict):
        return _strings(path, content, "instructions")
    return [_field(path, number, row, "prompt", "instruction") for number, row in enumerate(content, 1)]


def read_responses(path: Path) -> tuple[list[str], list[str]]:
    """Prompts and responses of a file: records with ``prompt`` and ``response``, or the original's output form."""
    content = _read(path)
    if isinstance(content, dict):
        prompts, responses = _strings(path, content, "instructions"), _strings(path, content, "outputs")
        if len(prompts) != len(responses):
            raise SafetuneError(f"{path} has {len(prompts)} instructions and {len(responses)} outputs: it needs one output for each")
        return prompts, responses
    pairs = [(_field(path, n, row, "prompt", "instruction"), _field(path, n, row, "response", empty=True)) for n, row in enumerate(content, 1)]
    return [prompt for prompt, _ in pairs], [response for _, response in pairs]


def write_responses(path: Path, *, prompts: list[str], responses: list[str], model: str, adapter: Path | None) -> None:
    """Write answers: the original's output form for a ``.json`` name, else one record a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        parameters = {"model": model, "prompt_template": "alpaca", "lora_weights": str(adapter or ""), "load_8bit": False}
        content = {"parameters": parameters, "inputs": [], "instructions": prompts, "outputs": responses}
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
    else:
        write_lines(path, [{"prompt": p, "response": r} for p, r in zip(prompts, responses, strict=True)])


def _read(path: Path) -> Any:
    if not path.is_file():
        raise SafetuneError(f"{path} is not there: give the path of a .jsonl or .json file")
    try:
        content = json.loads(path.read_text("utf-8")) if path.suffix == ".json" else read_lines(path)
    except UnicodeDecodeError:
        raise SafetuneError(f"{path} is not UTF-8: save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise SafetuneError(f"{path} is not JSON ({error}): a .json name holds one document, a .jsonl name one object a line") from None
    if not content:
        raise SafetuneError(f"{path} is empty: give it at least one prompt")
    return content


def _strings(path: Path, content: dict[str, Any], key: str) -> list[str]:
    values = content.get(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise SafetuneError(f"{path} has no list of texts under '{key}'")
    return values


def _field(path: Path, number: int, row: Any, *names: str, empty: bool = False) -> str:
    for name in names:
        value = row.get(name) if isinstance(row, dict) else None
        if isinstance(value, str) and (empty or value.strip()):
            return value
    raise SafetuneError(f"{path}, row {number}: '{' or '.join(names)}' is missing or empty")
