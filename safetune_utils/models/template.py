"""From an instruction to the text a model reads, both to train and to test: the Alpaca template, or the form
of a chat that a model's own tokenizer brings along.

Source of the Alpaca template: Stanford Alpaca, the one the paper used (``### Instruction:`` …
``### Response:``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from safetune_utils.errors import SafetuneError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ALPACA, CHAT = "alpaca", "chat"

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


def prompt_text(
    tokenizer: PreTrainedTokenizerBase,
    *,
    instruction: str,
    input: str = "",
    guard: str = "",
    template: str = ALPACA,
) -> str:
    """Return the prompt for an instruction in one of two forms; the response follows directly after it.

    Args:
        tokenizer: the model's, whose chat template is used.
        instruction, input, guard: as for :func:`render`; in a chat they stand in one message, a blank line
            between them.
        template: ``alpaca`` or ``chat``.

    Raises:
        SafetuneError: the tokenizer has no chat template, or it cannot be used for one message.
    """
    if template == ALPACA:
        return render(instruction=instruction, input=input, guard=guard)
    parts = [part.strip() for part in (guard, instruction, input)]
    message = {"role": "user", "content": "\n\n".join(part for part in parts if part)}
    return _chat(tokenizer, [message], add_generation_prompt=True)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str, *, template: str = ALPACA) -> list[int]:
    """Token ids of a prompt: begun with the token that the tokenizer begins a text with, if any, and without
    a stop token at the end. A chat template writes its own first token.
    """
    ids = tokenizer(prompt, add_special_tokens=template == ALPACA)["input_ids"]
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


def end_token(tokenizer: PreTrainedTokenizerBase, *, template: str = ALPACA) -> int:
    """The token that ends a response: the tokenizer's stop token, or in a chat the token that the chat
    template ends a message with.

    Raises:
        SafetuneError: as in :func:`prompt_text`.
    """
    if template == ALPACA:
        return cast(int, tokenizer.eos_token_id)
    asked = [{"role": "user", "content": "?"}]
    whole = _chat(tokenizer, [*asked, {"role": "assistant", "content": _ANSWER}], add_generation_prompt=False)
    after = tokenizer(whole.rpartition(_ANSWER)[2].lstrip(), add_special_tokens=False)["input_ids"]
    return after[0] if after else cast(int, tokenizer.eos_token_id)


_ANSWER = "such an answer"


def _chat(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], *, add_generation_prompt: bool
) -> str:
    if not tokenizer.chat_template:
        raise SafetuneError("this model's tokenizer has no chat template: set template to alpaca")
    try:
        text = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except Exception as error:  # a template is a program, which may raise anything
        raise SafetuneError(
            f"this model's chat template cannot be used ({first_line(error)}): set template to alpaca"
        ) from None
    return cast(str, text)
