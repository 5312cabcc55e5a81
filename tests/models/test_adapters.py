"""Adapters: read with PEFT's own result, merged or not; refused in one line; written with the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import architectures
import peft
import pytest
import torch
from local_hub import NAME, Hub
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from safetune_utils.errors import SafetuneError
from safetune_utils.models import adapters, base_model
from safetune_utils.models.adapters import load_adapter, save_adapter
from safetune_utils.models.architecture import targets_of
from safetune_utils.models.base_model import BaseName, base_name, load_base
from safetune_utils.models.identity import ADAPTER_FILE, GGUF_SHA256

Change = Callable[[Path], object]
LLAMA = ["q_proj", "v_proj"]
ROW = torch.arange(3, 23)[None] * 37 % architectures.VOCABULARY


def lora(**settings: Any) -> LoraConfig:
    return LoraConfig(**{"task_type": "CAUSAL_LM", "r": 4, "target_modules": LLAMA} | settings)


def trained(model: PreTrainedModel, config: peft.PeftConfig, folder: Path) -> Path:
    """An adapter whose weights are random, as if it had been trained, saved by PEFT."""
    adapted = get_peft_model(model, config)
    generator = torch.Generator().manual_seed(0)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    adapted.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(architectures.tiny("llama"), lora(), tmp_path_factory.mktemp("whole") / "adapter")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """An adapter on a tiny Llama that a test may damage."""
    return shutil.copytree(whole, tmp_path / "adapter")


def logits(model: PreTrainedModel | PeftModel) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=ROW).logits.float()


def by_peft(model: PreTrainedModel, folder: Path) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return logits(PeftModel.from_pretrained(model, str(folder)).eval())


def relative(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).norm() / second.norm())


# What PEFT reads: kinds of adapters, and whether one is merged.
KINDS: dict[str, tuple[peft.PeftConfig, bool]] = {
    "LoRA": (lora(), True),
    "LoRA with other scalings and ranks": (lora(rank_pattern={"v_proj": 2}, use_rslora=True), True),
    "LoRA on all layers": (lora(target_modules="all-linear"), True),
    "LoRA on some layers": (lora(layers_to_transform=[1]), True),
    "LoRA with biases": (lora(bias="lora_only"), True),
    "DoRA": (lora(use_dora=True), True),
    "LoRA and a whole layer": (lora(modules_to_save=["lm_head"]), True),
    "LoRA on embeddings": (lora(target_modules=["embed_tokens", "q_proj"]), True),
    "IA3": (
        peft.IA3Config(
            task_type="CAUSAL_LM", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]
        ),
        True,
    ),
    "LoHa": (peft.LoHaConfig(task_type="CAUSAL_LM", r=4, target_modules=LLAMA), True),
    "LoKr": (peft.LoKrConfig(task_type="CAUSAL_LM", r=4, target_modules=LLAMA), True),
    "OFT": (peft.OFTConfig(task_type="CAUSAL_LM", oft_block_size=4, target_modules=LLAMA, r=0), True),
    "VeRA": (peft.VeraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj"]), True),
    "layer norms": (peft.LNTuningConfig(task_type="CAUSAL_LM", target_modules=["norm"]), True),
    "LoRA from singular values": (lora(init_lora_weights="pissa"), True),
    "LoRA and some tokens": (lora(trainable_token_indices=[5, 6]), True),
    "VB-LoRA": (
        peft.VBLoRAConfig(
            task_type="CAUSAL_LM", num_vectors=16, vector_length=8, r=2, topk=2, target_modules=LLAMA
        ),
        True,
    ),
    "OSF, which PEFT must not merge twice": (
        peft.OSFConfig(task_type="CAUSAL_LM", target_modules=LLAMA),
        True,
    ),
    # A bias for a layer that has none cannot be merged.
    "LoRA with biases of its own": (lora(lora_bias=True), False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_adapter_that_peft_reads_computes_what_peft_computes(kind: str, tmp_path: Path) -> None:
    config, is_merged = KINDS[kind]
    folder = trained(architectures.tiny("llama"), config, tmp_path)
    ours = load_adapter(architectures.tiny("llama"), folder)
    assert isinstance(ours, PeftModel) is not is_merged
    expected = by_peft(architectures.tiny("llama"), folder)
    assert relative(logits(ours), expected) < 1e-5
    assert relative(logits(architectures.tiny("llama")), expected) > 1e-2  # the adapter does something


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", architectures.NAMES)
def test_the_default_adapter_of_every_architecture_computes_what_peft_computes(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    targets = targets_of(architectures.tiny(name))
    folder = trained(architectures.tiny(name), lora(target_modules=targets), tmp_path)
    merged = load_adapter(architectures.tiny(name).to(dtype), folder)
    unmerged = by_peft(architectures.tiny(name).to(dtype), folder)
    if dtype == torch.float32:
        assert not isinstance(merged, PeftModel)
    # In bf16 a model that makes more of the rounding than this is not merged, such as Falcon Mamba.
    assert relative(logits(merged), unmerged) < (1e-5 if dtype == torch.float32 else 0.06)


@pytest.mark.parametrize("targets", [["lm_head"], ["embed_tokens"], ["q_proj", "lm_head"]])
def test_an_adapter_on_a_tied_vocabulary_layer_is_not_merged(targets: list[str], tmp_path: Path) -> None:
    def tied() -> PreTrainedModel:
        return architectures.tiny("llama", tie_word_embeddings=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = trained(tied(), lora(target_modules=targets), tmp_path)
    ours, expected = load_adapter(tied(), folder), by_peft(tied(), folder)
    assert isinstance(ours, PeftModel)
    assert torch.equal(logits(ours), expected)
    merged = PeftModel.from_pretrained(tied(), str(folder)).merge_and_unload()
    assert relative(logits(merged), expected) > 1e-3  # this is what merging would have done


def test_what_merging_changes_is_taken_back_bit_by_bit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = by_peft(architectures.tiny("llama").bfloat16(), folder)
    base = architectures.tiny("llama").bfloat16()
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    real = adapters._same
    compared: list[bool] = []

    def second_fails(*given: Any) -> bool:
        compared.append(real(*given))
        return len(compared) == 1  # the first is of the adapter in and outside of PEFT's own model

    monkeypatch.setattr(adapters, "_same", second_fails)
    ours = load_adapter(base, folder)
    assert isinstance(ours, PeftModel)
    assert compared == [True, True]
    assert torch.equal(logits(ours), expected)
    after = {name.replace(".base_layer", ""): weight for name, weight in base.state_dict().items()}
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def cut(name: str, *, to: float) -> Change:
    def change(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * to)])

    return change


def tensors(edit: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Change:
    def change(folder: Path) -> None:
        path = folder / ADAPTER_FILE
        save_file(edit(load_file(path)), path, metadata={"format": "pt"})

    return change


def without(part: str) -> Change:
    return tensors(lambda found: {name: one for name, one in found.items() if part not in name})


def again(config: peft.PeftConfig, **settings: Any) -> Change:
    """Another adapter in the place of the first, on a model with other settings."""

    def change(folder: Path) -> None:
        shutil.rmtree(folder)
        trained(architectures.tiny("llama", **settings), config, folder)

    return change


def emptied(*kept: str) -> Change:
    def change(folder: Path) -> None:
        for path in folder.iterdir():
            if path.name not in kept:
                path.unlink()

    return change


def in_checkpoints(folder: Path) -> None:
    for step in (10, 20):
        shutil.copytree(folder, folder.with_name("moved") / f"checkpoint-{step}")
    shutil.rmtree(folder)
    folder.with_name("moved").rename(folder)


def as_a_model(folder: Path) -> None:
    shutil.rmtree(folder)
    architectures.tiny("llama").save_pretrained(folder)


def poisoned(number: float) -> Change:
    def edit(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        min(found.items())[1][0, 0] = number
        return found

    return tensors(edit)


_FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
FAULTS: dict[str, tuple[Change, str]] = {
    "no such folder": (shutil.rmtree, "there is no folder"),
    "an empty folder": (emptied(), "holds no adapter (adapter_config.json): give the folder of one"),
    "no settings": (
        emptied(ADAPTER_FILE),
        "lacks adapter_config.json, without which its weights",
    ),
    "no weights": (emptied("adapter_config.json"), f"has no {ADAPTER_FILE}: save the adapter with PEFT's"),
    "pickled weights": (
        lambda folder: (folder / ADAPTER_FILE).rename(folder / "adapter_model.bin"),
        "but adapter_model.bin, which may run code: save the adapter with PEFT's save_pretrained",
    ),
    "half the settings": (cut("adapter_config.json", to=0.5), "is not JSON that can be read ("),
    "a cut file": (cut(ADAPTER_FILE, to=0.5), "is not whole (Error while deserializing header: incomplete"),
    "folders of checkpoints": (
        in_checkpoints,
        "holds adapters in checkpoint-10, checkpoint-20, and none itself: give one of these folders",
    ),
    "a whole model": (as_a_model, "holds a whole model and no adapter: give it as the base model"),
    "half an adapter": (without("lora_B"), "lacks 4 of the tensors that this base model needs of it ("),
    "a missing layer": (
        without("layers.1."),
        "lacks 4 of the tensors that this base model needs of it (base_model.model.model.layers.1.",
    ),
    "a missing whole layer": (
        lambda folder: [again(lora(modules_to_save=["lm_head"]))(folder), without("lm_head")(folder)],
        "lacks 1 of the tensors that this base model needs of it (base_model.model.lm_head.weight)",
    ),
    "more layers than the base has": (
        again(lora(), num_hidden_layers=3),
        "changes layers that this base model lacks (base_model.model.model.layers.2.",
    ),
    "fewer layers than the base has": (again(lora(), num_hidden_layers=1), "lacks 4 of the tensors"),
    "another width": (
        again(lora(), hidden_size=32),
        f"does not fit this base model ({_FIRST[:-7]}.default.weight has the shape [4, 32], "
        "and here it would need [4, 64]): give the one that it was trained on",
    ),
    "another architecture": (
        lambda folder: [
            shutil.rmtree(folder),
            trained(architectures.tiny("gpt2"), lora(target_modules=["c_attn"]), folder),
        ],
        "does not fit this base model (Target modules {'c_attn'} not found in the base model",
    ),
    "added tokens, trained whole": (
        again(lora(modules_to_save=["embed_tokens", "lm_head"]), vocab_size=1030),
        "it has a vocabulary of 1030 tokens with those that were added, and the model one of 1024",
    ),
    "added tokens, with LoRA": (
        again(lora(target_modules=["embed_tokens", "q_proj"]), vocab_size=1030),
        "it has a vocabulary of 1030 tokens with those that were added, and the model one of 1024",
    ),
    "not a number": (poisoned(float("nan")), f"has weights that are no numbers ({_FIRST}): train it with"),
    "an infinite number": (poisoned(float("inf")), f"has weights that are no numbers ({_FIRST})"),
    "numbers that overflow": (
        tensors(lambda found: {name: one * 1e19 for name, one in found.items()}),
        "computes no numbers: use precision fp32, or give another",
    ),
    "never trained": (
        tensors(lambda found: {name: one * ("lora_A" in name) for name, one in found.items()}),
        "changes nothing, because all its lora_B are zero: it was saved before it was trained",
    ),
    "prompt tuning": (
        again(peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)),
        "is of kind PROMPT_TUNING, which puts learned tokens before the text and cannot be answered with",
    ),
    "prefix tuning": (
        again(peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)),
        "is of kind PREFIX_TUNING, which puts learned tokens before the text",
    ),
    "an activated LoRA": (
        again(lora(alora_invocation_tokens=[5, 7])),
        "is an activated LoRA, which begins to work at certain words of a text",
    ),
    "a kind that asks for a task": (
        again(peft.PolyConfig(task_type="CAUSAL_LM", r=4, n_tasks=2, n_skills=2, target_modules=LLAMA)),
        "is of kind POLY, which works outside of the model's layers: give one of another kind",
    ),
    "another task": (
        lambda folder: (folder / "adapter_config.json").write_text(
            (folder / "adapter_config.json").read_text().replace("CAUSAL_LM", "SEQ_CLS")
        ),
        "was trained for SEQ_CLS, and here models write",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_an_adapter_is_one_line_that_never_tells_to_delete_it(fault: str, folder: Path) -> None:
    change, line = FAULTS[fault]
    change(folder)
    with pytest.raises(SafetuneError) as caught:
        load_adapter(architectures.tiny("llama"), folder)
    said = str(caught.value)
    assert line in said
    assert "\n" not in said
    assert not {"delete", "remove"} & set(said.split())


def test_a_checkpoint_folder_of_another_trainer_is_read(folder: Path) -> None:
    for name in ("optimizer.pt", "scheduler.pt", "trainer_state.json", "rng_state.pth"):
        (folder / name).write_text("{}")
    expected = by_peft(architectures.tiny("llama"), folder)
    assert relative(logits(load_adapter(architectures.tiny("llama"), folder)), expected) < 1e-5


TRAINED_ON = [
    # What the adapter names, at which revision; the base model, at which commit; whether they are another.
    ("made-here/tiny", None, "made-here/tiny", "c" * 40, False),
    ("made-here/tiny", "c" * 40, "made-here/tiny", "c" * 40, False),
    ("made-here/tiny", "c" * 40, "made-here/tiny", "d" * 40, True),
    ("made-here/tiny", None, "made-here/other", "c" * 40, True),
    ("/home/someone/models/Tiny", None, "made-here/tiny", "c" * 40, False),
    ("/home/someone/models/other", None, "made-here/tiny", "c" * 40, True),
    ("made-here/tiny", "main", "made-here/tiny", "c" * 40, False),
    (None, None, "made-here/tiny", "c" * 40, False),
]


@pytest.mark.parametrize(("name", "revision", "base", "commit", "is_another"), TRAINED_ON)
def test_an_adapter_on_another_base_of_the_same_shape_is_a_warning(
    name: str | None,
    revision: str | None,
    base: str,
    commit: str,
    is_another: bool,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = folder / "adapter_config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": name, "revision": revision})
    )
    model = architectures.tiny("llama")
    monkeypatch.setitem(base_model._LOADED, model, (base, commit))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        load_adapter(model, folder)
    said = [str(one.message) for one in told if "was trained on" in str(one.message)]
    assert len(said) == is_another
    if is_another:
        assert f"was trained on {name}" in said[0]
        assert f"is put on {base}" in said[0]


def test_an_adapter_names_a_base_folder_by_its_last_name_and_its_content(tmp_path: Path) -> None:
    where, moved = (architectures.save(architectures.tiny("llama"), tmp_path / one) for one in ("a", "b"))
    other = architectures.save(architectures.tiny("llama", seed=1), tmp_path / "other" / "a")
    model, _ = load_base(str(where), precision="fp32")
    adapted = get_peft_model(model, lora())
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data += 0.01
    save_adapter(adapted, tmp_path / "adapter")
    written = (tmp_path / "adapter" / "adapter_config.json").read_text("utf-8")
    assert json.loads(written)["base_model_name_or_path"] == "a"
    assert str(tmp_path) not in written
    for base, is_another in ((where, False), (moved, False), (other, True)):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            load_adapter(load_base(str(base), precision="fp32")[0], tmp_path / "adapter")
        assert any("was trained on a" in str(one.message) for one in told) is is_another


def test_the_embedded_model_has_a_name_that_is_the_same_everywhere() -> None:
    model, _ = load_base("embedded")
    assert base_name(model) == ("SmolLM2-135M-Instruct", f"gguf:{GGUF_SHA256}, conversion 1")
    assert base_name(architectures.tiny("llama")) == ("", "")


@pytest.mark.slow
def test_a_model_of_the_hub_is_named_by_its_id_and_commit_from_its_cache_too(tmp_path: Path) -> None:
    script = """
import json, sys
from huggingface_hub import snapshot_download
from safetune_utils.models.base_model import base_name, load_base

found = [base_name(load_base(sys.argv[1])[0])]
found.append(base_name(load_base(snapshot_download(sys.argv[1], local_files_only=True))[0]))
print(json.dumps(found))
"""
    with Hub([architectures.save(architectures.tiny("llama"), tmp_path / "tiny")]) as hub:
        by_id, by_folder = hub.ask(script, home=tmp_path / "hub")
        commit = hub.main
        hub.shutdown()
    assert by_id == by_folder == [NAME, commit]


def test_an_adapter_of_before_is_known_to_be_of_the_embedded_model() -> None:
    old = BaseName("/home/someone/.cache/safetune/models/smollm2-135m-bf16-0123456789ab", "")
    assert adapters._alike(old, BaseName("SmolLM2-135M-Instruct", f"gguf:{GGUF_SHA256}"))
    assert not adapters._alike(old, BaseName("tiny", "files:0"))


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
import sys
from pathlib import Path
import architectures, torch
from peft import LoraConfig, get_peft_model
from safetune_utils.models.adapters import save_adapter
names = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj", "gate_proj"]
torch.manual_seed(0)
adapted = get_peft_model(architectures.tiny("llama"), LoraConfig(task_type="CAUSAL_LM", target_modules=names))
save_adapter(adapted, Path(sys.argv[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "there")],
        env=os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "here")])
    exec(script, {})
    here, there = (
        {path.name: path.read_bytes() for path in (tmp_path / place).iterdir()} for place in ("here", "there")
    )
    assert here.keys() == {"adapter_config.json", ADAPTER_FILE}
    assert here == there
