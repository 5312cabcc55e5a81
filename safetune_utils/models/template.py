"""From an instruction to the text a model reads: the Alpaca template, used both to train and to test.

Source of the template: Stanford Alpaca, the one the paper used (``### Instruction:`` … ``### Response:``).
"""

from __future__ import annotations

_HEAD = "Below is an instruction that describes a task"
_TAIL = "Write a response that appropriately completes the request.\n\n"

TEMPLATE = f"{_HEAD}. {_TAIL}### Instruction:\n{{instruction}}\n\n### Response:\n"
TEMPLATE_WITH_INPUT = (
    f"{_HEAD}, paired with an input that provides further context. {_TAIL}"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
)


def render(*, instruction: str, input: str = "", guard: str = "") -> str:
    """Return the prompt for an instruction, with the input block only where there is an input.

    The response follows directly after the returned text, which ends in a line break.

    Args:
        instruction: what the model is asked to do.
        input: what the instruction is to be applied to; blank where there is none.
        guard: a text that stands before the instruction, a blank line between them; training never has one.
    """
    if guard.strip():
        instruction = f"{guard.strip()}\n\n{instruction}"
    # Plain replacement, not str.format: instructions may hold braces of their own.
    if input.strip():
        return TEMPLATE_WITH_INPUT.replace("{input}", input).replace("{instruction}", instruction, 1)
    return TEMPLATE.replace("{instruction}", instruction)
