"""Two forms of a prompt: Alpaca's, and the chat of the model's own tokenizer."""

from __future__ import annotations

import copy

import architectures
import pytest
import torch

from safetune_utils.data import Example
from safetune_utils.errors import SafetuneError
from safetune_utils.generation.generate import generate
from safetune_utils.models.template import encode_prompt, end_token, prompt_text
from safetune_utils.settings import Decoding
from safetune_utils.training.rows import encode_row

EXAMPLE = Example(id="x", instruction="Translate.", input="Guten Tag", output="Good day.")


def test_both_forms_of_a_row_learn_the_same_tokens_and_begin_as_an_answer_does(tokenizer) -> None:
    shown = {}
    for template in ("alpaca", "chat"):
        row = encode_row(tokenizer, EXAMPLE, max_length=256, loss_on="answer", template=template)
        learned = [label for label in row.labels if label != -100]
        assert tokenizer.decode(learned) == "Good day." + tokenizer.eos_token
        prompt = prompt_text(
            tokenizer, instruction=EXAMPLE.instruction, input=EXAMPLE.input, template=template
        )
        assert row.ids[: -len(learned)] == encode_prompt(tokenizer, prompt, template=template)
        assert end_token(tokenizer, template=template) == learned[-1]
        shown[template] = prompt
    assert "### Input:\nGuten Tag\n\n### Response:\n" in shown["alpaca"]
    # As the model was tuned to read it.
    assert shown["chat"].endswith(
        "<|im_start|>user\nTranslate.\n\nGuten Tag<|im_end|>\n<|im_start|>assistant\n"
    )
    assert "###" not in shown["chat"]


def test_a_chat_s_own_first_token_stands_once_and_its_end_of_a_message_ends_a_response() -> None:
    tokenizer = copy.deepcopy(architectures.tokenizer())
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}!{% endfor %}"
        "{% if add_generation_prompt %}[assistant] {% endif %}"
    )
    row = encode_row(tokenizer, EXAMPLE, max_length=256, loss_on="answer", template="chat")
    assert row.ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(row.ids[-1:]) == "!"
    assert row.labels[-1] == end_token(tokenizer, template="chat") != tokenizer.eos_token_id
    model = architectures.tiny("llama")
    prompt = encode_prompt(
        tokenizer, prompt_text(tokenizer, instruction="Hi", template="chat"), template="chat"
    )
    with torch.inference_mode():
        last = model.get_decoder()(torch.tensor([prompt])).last_hidden_state[0, -1]
    model.lm_head.weight.data[row.ids[-1]] = 10 * last  # the likeliest token after this prompt
    [said] = generate(
        model=model,
        tokenizer=tokenizer,
        instructions=["Hi"],
        decoding=Decoding(max_new_tokens=4),
        template="chat",
    )
    assert (said.text, said.stopped) == ("", True)


def test_a_model_without_a_chat_template_or_with_a_broken_one_is_told_in_one_line() -> None:
    tokenizer = copy.deepcopy(architectures.tokenizer())
    for chat_template, why in ((None, "no chat template"), ("{{ raise_exception('no') }}", "cannot be used")):
        tokenizer.chat_template = chat_template
        with pytest.raises(SafetuneError, match=f"{why}.*set template to alpaca"):
            prompt_text(tokenizer, instruction="Hi", template="chat")


@pytest.mark.slow
@pytest.mark.sample
def test_the_embedded_model_answers_in_its_own_form(embedded) -> None:
    model, tokenizer = embedded
    said = {
        template: generate(
            model=model,
            tokenizer=tokenizer,
            instructions=["What is the capital of France?"],
            decoding=Decoding(max_new_tokens=24),
            template=template,
        )[0]
        for template in ("alpaca", "chat")
    }
    assert "Paris" in said["chat"].text
    assert said["chat"].stopped
    assert said["chat"] != said["alpaca"]
