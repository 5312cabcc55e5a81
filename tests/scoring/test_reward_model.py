"""A reward model is loaded from a folder, and what is none is refused."""

from __future__ import annotations

import pytest
import torch
from tiny_models import tiny_reward_model, tiny_reward_tokenizer

from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import quality, reward_model

PROMPT, RESPONSE = ["how do i bake bread"], ["mix flour water and salt"]


def test_a_reward_model_is_loaded_from_a_folder_and_impostors_are_refused(tmp_path) -> None:
    model, tokenizer = tiny_reward_model(), tiny_reward_tokenizer()
    model.to(torch.bfloat16).save_pretrained(tmp_path / "reward")
    tokenizer.save_pretrained(tmp_path / "reward")
    loaded, its_tokenizer = reward_model.load(str(tmp_path / "reward"))
    assert loaded.dtype == torch.float32  # whatever it was saved in
    (scored,) = quality.score(PROMPT, RESPONSE, model=loaded, tokenizer=its_tokenizer)
    assert scored.value is not None
    with pytest.raises(SafetuneError, match="cannot be reached"):
        reward_model.load(str(tmp_path / "absent"))
    # A plain encoder would be given a random head, with no more than a warning.
    model.deberta.save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    with pytest.raises(SafetuneError, match="lacks weights of a reward model"):
        reward_model.load(str(tmp_path / "encoder"))
    for wrong, message in (
        (tiny_reward_model(n_outputs=2), "one output"),
        (tiny_reward_model().to(torch.bfloat16), "fp32"),
    ):
        with pytest.raises(SafetuneError, match=message):
            quality.score(PROMPT, RESPONSE, model=wrong, tokenizer=tokenizer)
    tokenizer.pad_token = None
    with pytest.raises(SafetuneError, match="padding token"):
        quality.score(PROMPT, RESPONSE, model=tiny_reward_model(), tokenizer=tokenizer)
