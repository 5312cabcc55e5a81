"""Base models: a local folder, an adapter, and nothing unsafe is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from tiny_models import tiny_llama
from tiny_training import train

from safetune_utils.errors import SafetuneError
from safetune_utils.models.adapters import load_adapter
from safetune_utils.models.base_model import load_base
from safetune_utils.models.identity import identity


def test_the_contiguous_input_changes_rounding_at_most() -> None:
    model = tiny_llama()
    hidden = torch.randn(4, 7, 32)[:, -1:, :]
    assert not hidden.is_contiguous()
    torch.testing.assert_close(model.lm_head(hidden), model.lm_head(hidden.contiguous()))


def test_a_local_folder_loads_and_pickled_weights_do_not(tmp_path: Path, tokenizer) -> None:
    model = tiny_llama()
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    loaded, _ = load_base(str(good), precision="fp32")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
    torch.save(model.state_dict(), bad / "pytorch_model.bin")
    (bad / "model.safetensors").unlink()
    with pytest.raises(SafetuneError, match="safetensors"):
        load_base(str(bad))
    with pytest.raises(SafetuneError, match=r"holds no \*\.safetensors"):
        identity(str(bad))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_model_is_known_by_all_that_is_loaded_of_it_and_not_by_its_folder(base: Path, name: str) -> None:
    moved = base.with_name("elsewhere")
    shutil.copytree(base, moved)
    assert identity(str(moved)) == identity(str(base))
    (moved / "README.md").write_text("Notes.")
    assert identity(str(moved)) == identity(str(base))
    with (moved / name).open("ab") as file:
        file.write(b" ")
    assert identity(str(moved)) != identity(str(base))


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SafetuneError) as caught:
        load_base(str(tmp_path / "nothing"))
    assert "\n" not in str(caught.value)


def test_merged_and_unmerged_adapters_give_the_same_logits(tokenizer, tmp_path: Path) -> None:
    train(tokenizer, tmp_path)
    ids = tokenizer("Name a fruit.", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        unmerged = PeftModel.from_pretrained(tiny_llama(), str(tmp_path)).eval()(ids).logits
        merged = load_adapter(tiny_llama(), tmp_path)(ids).logits
        base = tiny_llama()(ids).logits
    torch.testing.assert_close(merged, unmerged, rtol=1e-4, atol=1e-5)
    assert (merged - base).abs().max() > 1e-3
