"""Whether a model can read some prompts and answer them, found before its weights are read."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from safetune_utils.data import Prompt
from safetune_utils.models.checks import check_rows
from safetune_utils.models.template import ALPACA, encode_prompt, prompt_text
from safetune_utils.settings import Decoding


def check_prompts(
    prompts: Sequence[Prompt],
    *,
    name: str,
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    decoding: Decoding,
    template: str = ALPACA,
    what: str = "a prompt",
) -> None:
    """Raise ``SafetuneError`` where a prompt and its longest answer are too long for a base model, or a
    prompt has a token that it does not know.

    Args:
        prompts: what is asked.
        name, config, tokenizer: of the base model, from :func:`safetune_utils.models.checks.check_base`.
        decoding: how it is asked.
        template: ``alpaca``, or ``chat``, the tokenizer's own form.
        what: what one of the prompts is, for the message.
    """
    texts = (
        prompt_text(tokenizer, instruction=one.text, input=one.input, guard=decoding.guard, template=template)
        for one in prompts
    )
    check_rows(
        (encode_prompt(tokenizer, text, template=template) for text in texts),
        name=name,
        config=config,
        what=what,
        more=decoding.max_new_tokens,
        mend="lower max_new_tokens in decoding, or leave long prompts out",
    )
