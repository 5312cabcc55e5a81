"""A reward model is loaded from a folder, and what is none is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from local_hub import Hub
from tiny_models import tiny_reward_model, tiny_reward_tokenizer

from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import quality, reward_model

# Names the scores of a reward model, lets the hub's main branch move to another commit, then loads.
SCRIPT = """
import json, sys, urllib.request
from safetune_utils.scoring import reward_model

named = reward_model.identified(sys.argv[1])
urllib.request.urlopen(sys.argv[2] + "/move-main").close()
model, _ = reward_model.load(sys.argv[1])
print(json.dumps({"named": named, "bias": model.classifier.bias.item()}))
"""
PROMPT, RESPONSE = ["how do i bake bread"], ["mix flour water and salt"]


def test_a_reward_model_is_loaded_from_a_folder_and_impostors_are_refused(tmp_path) -> None:
    model, tokenizer = tiny_reward_model(), tiny_reward_tokenizer()
    model.to(torch.bfloat16).save_pretrained(tmp_path / "reward")
    tokenizer.save_pretrained(tmp_path / "reward")
    loaded, its_tokenizer = reward_model.load(str(tmp_path / "reward"))
    assert loaded.dtype == torch.float32  # whatever it was saved in
    (scored,) = quality.score(PROMPT, RESPONSE, model=loaded, tokenizer=its_tokenizer)
    assert scored.value is not None
    with pytest.raises(SafetuneError, match="there is no folder"):
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


@pytest.mark.slow
def test_a_reward_model_is_loaded_at_the_commit_that_its_scores_are_named_by(tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for bias, folder in enumerate(folders):
        model = tiny_reward_model()
        torch.nn.init.constant_(model.classifier.bias, bias)
        model.save_pretrained(folder)
        tiny_reward_tokenizer().save_pretrained(folder)
    with Hub(folders) as hub:
        found = hub.ask(SCRIPT, home=tmp_path / "hub")
        hub.shutdown()
    assert found == {"named": f"commit:{next(iter(hub.commits))}", "bias": 0.0}


class Touch:
    """Makes a file when it is read from a pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_code_in_the_weights_of_a_reward_model_is_not_run(tmp_path: Path) -> None:
    tiny_reward_model().save_pretrained(tmp_path / "reward")
    tiny_reward_tokenizer().save_pretrained(tmp_path / "reward")
    (tmp_path / "reward" / "model.safetensors").unlink()
    torch.save({"classifier.bias": Touch(tmp_path / "run")}, tmp_path / "reward" / "pytorch_model.bin")
    with pytest.raises(SafetuneError, match="cannot be read"):
        reward_model.load(str(tmp_path / "reward"))
    assert not (tmp_path / "run").exists()
