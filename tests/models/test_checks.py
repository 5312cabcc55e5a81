"""Faults of base models: each is one line, before the weights are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import architectures
import pytest
import torch
from local_hub import Hub
from safetensors.torch import load_file, save_file

from safetune_utils.errors import SafetuneError
from safetune_utils.models import base_model
from safetune_utils.models.base_model import load_base
from safetune_utils.models.checks import check_base, check_rows, context
from safetune_utils.models.tokenizer import load_tokenizer

WEIGHTS = "model.safetensors"
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return architectures.save(architectures.tiny("llama"), tmp_path_factory.mktemp("whole") / "base")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A base model that a test may damage."""
    return shutil.copytree(whole, tmp_path / "base")


def cut(name: str, *, to: float) -> Change:
    def change(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * to)])

    return change


def setting(file: str = "config.json", **entries: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | entries))

    return change


def weights(edit: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Change:
    def change(folder: Path) -> None:
        save_file(edit(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})

    return change


def without(part: str) -> Change:
    return weights(lambda tensors: {name: one for name, one in tensors.items() if part not in name})


def halved(part: str) -> Change:
    return weights(
        lambda tensors: {
            name: one[: len(one) // 2].contiguous() if part in name else one for name, one in tensors.items()
        }
    )


def in_shards(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    architectures.tiny("llama").save_pretrained(folder, max_shard_size="300KB")


def without_a_shard(folder: Path) -> None:
    in_shards(folder)
    (folder / "model-00002-of-00003.safetensors").unlink()


def without_an_index(folder: Path) -> None:
    in_shards(folder)
    (folder / f"{WEIGHTS}.index.json").unlink()


FAULTS: dict[str, tuple[Change, str]] = {
    "half a weights file": (
        cut(WEIGHTS, to=0.5),
        "incomplete metadata, file not fully covered): copy or save",
    ),
    "an empty weights file": (cut(WEIGHTS, to=0), "header too small): copy or save it again"),
    "a missing shard": (without_a_shard, "model-00002-of-00003.safetensors): copy or save it again"),
    "shards without an index": (without_an_index, "no file named model.safetensors"),
    "a missing layer": (
        without("layers.1.mlp.up_proj"),
        "lacks 1 of its weights (model.layers.1.mlp.up_proj.weight), and random numbers would stand there",
    ),
    "a missing head": (without("lm_head"), "lacks 1 of its weights (lm_head.weight)"),
    "a layer of another size": (
        halved("layers.0.mlp.up_proj"),
        "is not the model of its config.json (model.layers.0.mlp.up_proj.weight has the shape [48, 64] and "
        "not [96, 64])",
    ),
    "more layers in the config": (setting(num_hidden_layers=3), "lacks 9 of its weights (model.layers.2."),
    "half a config": (cut("config.json", to=0.5), "is not JSON that can be read ("),
    "half a tokenizer": (cut("tokenizer.json", to=0.5), "the tokenizer of base model"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "the tokenizer of base model"),
    "GPTQ": (
        setting(quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 128}),
        "is stored in GPTQ, which is not trained here: give the model that it was made from",
    ),
    "AWQ": (
        setting(quantization_config={"quant_method": "awq", "bits": 4, "group_size": 128}),
        "is stored in AWQ, which is not trained here",
    ),
    "FP8": (setting(quantization_config={"quant_method": "fp8"}), "is stored in FP8"),
    "an encoder": (
        setting(model_type="bert", architectures=["BertForMaskedLM"]),
        "is of type 'bert', which does not write from left to right",
    ),
    "an encoder and decoder": (setting(model_type="t5"), "is of type 't5', which does not write"),
    "code of its own": (
        setting(model_type="strange", auto_map={"AutoConfig": "strange.Config"}),
        "comes with code of its own, which is not run here: give a model of an architecture",
    ),
    "no stop token": (
        lambda folder: [
            setting("tokenizer_config.json", eos_token=None)(folder),
            setting(eos_token_id=None)(folder),
            setting("generation_config.json", eos_token_id=None)(folder),
        ],
        "names no stop token, so no answer could end: set eos_token in its tokenizer_config.json",
    ),
    "a stop token without an embedding": (
        lambda folder: [setting("tokenizer_config.json", eos_token="<end>")(folder)],
        "has embeddings for 1024 tokens, and its tokenizer's stop token is 1024",
    ),
    "an adapter": (
        lambda folder: (folder / "adapter_config.json").write_text("{}"),
        "holds an adapter (adapter_config.json): give the base model that it was trained on",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_base_model_is_one_line_before_its_weights_are_read(
    fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, line = FAULTS[fault]
    change(folder)
    monkeypatch.setattr(base_model, "_loaded", None)  # nothing to read weights with
    with pytest.raises(SafetuneError) as caught:
        load_base(str(folder), precision="fp32")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "precision", "line"),
    [
        (float("nan"), "fp32", "has weights that are no numbers (model.layers.1.mlp.up_proj.weight): give"),
        (float("-inf"), "bf16", "has weights that are no numbers (model.layers.1.mlp.up_proj.weight): give"),
        # A number that the model itself holds, and fp16 cannot.
        (1e5, "fp16", "fp16 holds none above 65504, so use precision bf16 or fp32"),
        (1e5, "bf16", None),
    ],
)
def test_weights_that_are_no_numbers_stop_the_loading(
    number: float, precision: str, line: str | None, folder: Path
) -> None:
    def poison(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        tensors["model.layers.1.mlp.up_proj.weight"][3, 5] = number
        return tensors

    weights(poison)(folder)
    if line is None:
        load_base(str(folder), precision=precision)
        return
    with pytest.raises(SafetuneError) as caught:
        load_base(str(folder), precision=precision)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_a_quantised_model_that_was_no_number_stops_too(quantization: str, folder: Path) -> None:
    def poison(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        tensors["model.layers.1.self_attn.q_proj.weight"][3, 5] = float("nan")
        return tensors

    load_base(str(folder), quantization=quantization)
    weights(poison)(folder)
    with pytest.raises(SafetuneError, match=r"no numbers \(model.layers.1.self_attn.q_proj.weight\)"):
        load_base(str(folder), quantization=quantization)


@pytest.mark.parametrize("name", architectures.NAMES)
def test_no_sound_architecture_is_refused(name: str, tmp_path: Path) -> None:
    model = architectures.tiny(name)
    loaded, tokenizer = load_base(str(architectures.save(model, tmp_path)), precision="fp32")
    for (key, was), (_, is_now) in zip(model.named_parameters(), loaded.named_parameters(), strict=True):
        assert torch.equal(was, is_now), key
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (architectures.EOS, architectures.PAD)


@pytest.mark.slow
def test_a_model_of_the_hub_is_refused_with_the_hubs_own_hint_where_its_owner_has_to_agree(
    whole: Path, tmp_path: Path
) -> None:
    script = """
import json, sys
from safetune_utils.errors import SafetuneError
from safetune_utils.models.base_model import load_base
from safetune_utils.models.identity import identity

found = []
for look in (identity, load_base):
    try:
        look(sys.argv[1])
    except SafetuneError as error:
        found.append(str(error))
print(json.dumps(found))
"""
    with Hub([whole], gated=True) as hub:
        lines = hub.ask(script, home=tmp_path / "hub")
        hub.shutdown()
    assert len(lines) == 2
    for line in lines:
        assert (
            "Access to model made-here/tiny is restricted. You must have access to it. Please log in" in line
        )
        assert "\n" not in line
        assert "401" not in line


@pytest.mark.slow
def test_a_model_of_the_hub_that_lacks_a_layer_is_refused_when_it_was_downloaded(
    folder: Path, tmp_path: Path
) -> None:
    without("layers.1.mlp.up_proj")(folder)
    script = """
import json, sys
from safetune_utils.errors import SafetuneError
from safetune_utils.models.base_model import load_base
from safetune_utils.models.checks import check_base

def line(look):
    try:
        look(sys.argv[1])
    except SafetuneError as error:
        return str(error)

print(json.dumps([line(check_base), line(load_base), line(check_base)]))
"""
    with Hub([folder]) as hub:
        before, loading, after = hub.ask(script, home=tmp_path / "hub")
        hub.shutdown()
    assert before is None  # its weights are not here yet
    assert loading == after
    assert "lacks 1 of its weights" in loading


@pytest.mark.parametrize(
    ("change", "stop", "pad"),
    [
        (lambda folder: None, 2, 0),
        # Many tokenizers pad with their stop token, and some with one that was never added to the model.
        (setting("tokenizer_config.json", pad_token="</s>"), 2, 0),
        (setting("tokenizer_config.json", pad_token="<added>"), 2, 0),
        # The tokenizer names no stop token, and the model does.
        (setting("tokenizer_config.json", eos_token=None), 2, 0),
        (
            lambda folder: [
                setting("tokenizer_config.json", eos_token=None)(folder),
                setting("generation_config.json", eos_token_id=[7, 2])(folder),
            ],
            7,
            0,
        ),
    ],
)
def test_stop_and_padding_tokens_are_some_that_the_model_knows(
    change: Change, stop: int, pad: int, folder: Path
) -> None:
    change(folder)
    tokenizer = load_tokenizer(str(folder))
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (stop, pad)


def test_adapter_layers_that_the_model_lacks_are_named_with_those_that_it_has(whole: Path) -> None:
    check_base(str(whole), target_modules=["q_proj", "layers.1.mlp.up_proj", "lm_head", "embed_tokens"])
    with pytest.raises(
        SafetuneError, match=r"\['c_attn'\] are not layers of this model: choose from embed_tokens, q_proj"
    ):
        check_base(str(whole), target_modules=["q_proj", "c_attn"])


@pytest.mark.parametrize("name", architectures.NAMES)
def test_the_context_is_the_one_that_the_architecture_has(name: str) -> None:
    unlimited = {"bloom", "falcon_mamba", "mamba", "mamba2", "recurrent_gemma"}
    expected = {"falcon": 2048} | dict.fromkeys(unlimited)
    assert context(architectures.tiny(name).config) == expected.get(name, architectures.POSITIONS)


def test_a_text_of_exactly_the_context_is_read_and_a_longer_one_or_an_unknown_token_is_not(
    whole: Path,
) -> None:
    config, _ = check_base(str(whole))

    def check(row: list[int], more: int) -> None:
        check_rows([[5], row], name="tiny", config=config, what="a prompt of yours", mend="cut it", more=more)

    check([5] * 500, 12)
    check([1023] * 512, 0)
    with pytest.raises(SafetuneError) as caught:
        check([5] * 501, 12)
    assert str(caught.value) == (
        "a prompt of yours has 501 tokens and an answer of up to 12, and base model 'tiny' reads at most 512 "
        "together: cut it"
    )
    with pytest.raises(
        SafetuneError, match="holds the token 1024, and base model 'tiny' has embeddings for 1024"
    ):
        check([5, 1024], 0)


def test_a_model_that_overflows_in_fp16_is_named_and_others_are_not(tmp_path: Path) -> None:
    folder = architectures.save(architectures.tiny("gemma2"), tmp_path / "gemma2")
    with pytest.raises(SafetuneError, match="gemma2 are known to overflow in fp16: set precision to bf16"):
        load_base(str(folder), precision="fp16")
    assert load_base(str(folder), precision="fp32")[0].dtype == torch.float32
    folder = architectures.save(architectures.tiny("llama"), tmp_path / "llama")
    assert load_base(str(folder), precision="fp16")[0].dtype == torch.float16
