"""Shared by the tests: a cache for the converted model, a store of their own, the mirror where there is one,
a browser.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from browsing import CHROMIUM
from transformers import LlamaConfig, LlamaForCausalLM

from safetune_utils.models.base_model import load_base

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFETUNE_STORE", str(tmp_path / "runs"))


@pytest.fixture(scope="session")
def mirror() -> Path:
    found = os.environ.get("SAFETUNE_MIRROR")
    if not found:
        pytest.skip("no mirror: set SAFETUNE_MIRROR to run on the outside data")
    return Path(found)


@pytest.fixture(scope="session")
def tokenizer():
    """The embedded model's tokenizer."""
    return load_base("embedded")[1]


@pytest.fixture
def embedded():
    """The real 135M model in fp32, where equality is meant, loaded anew."""
    return load_base("embedded", precision="fp32")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; CI installs it")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def tiny_llama(seed: int = 0) -> LlamaForCausalLM:
    """A random Llama of the embedded model's vocabulary, small enough to train in a second."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).requires_grad_(False).eval()


@pytest.fixture
def base(tmp_path: Path, tokenizer) -> Path:
    """A folder with a tiny random model and the embedded tokenizer."""
    folder = tmp_path / "tiny"
    model = tiny_llama()
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
