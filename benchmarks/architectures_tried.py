"""What the book does with each architecture of transformers, beside what transformers and PEFT do.

    python benchmarks/architectures_tried.py

Tiny random models stand in for the large ones (``tests/architectures.py``), all in fp32 on a CPU. For each:

    loss          of a few rows, against the model's own loss of each; and the way that proved itself
    gradient      of that loss, for the adapter
    greedy        answers one prompt at a time, against a plain loop that reads the whole text for each token
    batch         the same answers asked together
    beams         the mean log-probability of answers by three beams, asked together, against transformers' of
                  each alone
    adapter       logits with our adapter, loaded from its folder, merged or not, against PEFT's with it apart
    save and load logits of the base model from its folder, against those before it was saved

Differences are shares of the size of what is compared. Writes ``data/results/architectures.json``, which the
page on models reads.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from taking_turns import quiet, versions
from transformers import PreTrainedModel

from safetune_utils import data, places
from safetune_utils.generation import generate as generation
from safetune_utils.machine.files import write_json
from safetune_utils.machine.surroundings import surroundings
from safetune_utils.models import proofs
from safetune_utils.models.adapters import load_adapter, save_adapter
from safetune_utils.models.base_model import load_base
from safetune_utils.models.template import encode_prompt, prompt_text
from safetune_utils.settings import Decoding, Recipe
from safetune_utils.training.finetune import with_adapter
from safetune_utils.training.loss import proven_way, summed_loss
from safetune_utils.training.rows import Row

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import architectures

N_PROMPTS, N_NEW = 6, 12


def main() -> None:
    quiet()
    logging.disable(logging.WARNING)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SAFETUNE_CACHE"] = folder  # so that every model is tried anew
        for name in architectures.NAMES:
            rows.append(tried(name, Path(folder) / name))
            print(rows[-1], flush=True)
    found = {
        "made_by": "benchmarks/architectures_tried.py",
        "prompts": N_PROMPTS,
        "new_tokens": N_NEW,
        "rows": rows,
        "machine": surroundings()["machine"],
        "versions": versions(("torch", "transformers", "peft")),
    }
    write_json(places.data_folder() / "results" / "architectures.json", found)


def tried(name: str, folder: Path) -> dict[str, Any]:
    """One row of the table: by its column what came, or the error's name and first words."""
    model = architectures.tiny(name)
    ids = torch.tensor([proofs.short_rows(model)[0][0]])
    row: dict[str, Any] = {"architecture": name}
    columns: dict[str, Callable[[], Any]] = {
        "answers": lambda: answers(model),
        "beams": lambda: beams(model),
        "save_and_load": lambda: saved_and_loaded(model, folder, ids),
        "training": lambda: training(name),
        "adapter": lambda: adapter(name, folder, ids),
    }
    for column, compute in columns.items():
        try:
            row[column] = compute()
        except Exception as error:  # what the table is to show
            row[column] = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:160]}
    return row


def training(name: str) -> dict[str, Any]:
    """Loss and gradient of a few rows in the way that proved itself, against the model's own loss."""
    adapted = with_adapter(architectures.tiny(name), Recipe(lora_rank=4)).eval()
    _fill(adapted)
    rows = [
        Row(ids, [-100] * 4 + ids[4:], truncated=False) for part in proofs.short_rows(adapted) for ids in part
    ]
    weights = [weight for weight in adapted.parameters() if weight.requires_grad]
    plain = torch.stack(
        [
            adapted(
                input_ids=torch.tensor([row.ids]), labels=torch.tensor([row.labels]), use_cache=False
            ).loss
            * (len(row.ids) - 4)
            for row in rows
        ]
    ).sum()
    expected = _gradient(plain, weights)
    way = proven_way(adapted)
    loss = summed_loss(adapted, rows, way=way)
    return {
        "way": way,
        "layers": sorted(adapted.peft_config["default"].to_dict()["target_modules"]),
        "loss": _share(loss.detach(), plain.detach()),
        "gradient": _share(_gradient(loss, weights), expected),
    }


def answers(model: PreTrainedModel) -> dict[str, Any]:
    """How many answers are those of a plain loop, alone and together."""
    tokenizer = architectures.tokenizer()
    asked, stop = _asked(), tokenizer.eos_token_id
    plain = [_plainly(model, prompt, stop) for prompt in _prompts()]

    def said(texts: list[str], **how: Any) -> list[str]:
        decoding = Decoding(max_new_tokens=N_NEW, **how)
        found = generation.generate(model=model, tokenizer=tokenizer, instructions=texts, decoding=decoding)
        return [one.text for one in found]

    texts = [
        tokenizer.decode([token for token in ids if token != stop], skip_special_tokens=True).strip()
        for ids in plain
    ]
    return {
        "way": generation.proven_way(model, tokenizer),
        "greedy": sum(said([text])[0] == right for text, right in zip(asked, texts, strict=True)),
        "batch": sum(a == b for a, b in zip(said(asked), texts, strict=True)),
    }


def beams(model: PreTrainedModel) -> dict[str, Any]:
    """The mean log-probability of answers by beams, asked together, against transformers' of each alone."""
    tokenizer = architectures.tokenizer()
    prompts = _prompts()
    how = Decoding(max_new_tokens=N_NEW, num_beams=3)
    way = generation.proven_way(model, tokenizer, num_beams=3)

    @torch.inference_mode()
    def likely(by: str) -> torch.Tensor:
        seeds = [0] * len(prompts)
        said = generation._said(model, tokenizer, prompts, how, way=by, stops=[], seeds=seeds)
        pairs = zip(prompts, said, strict=True)
        return torch.stack([generation._likelihood(model, prompt, ids) for prompt, ids in pairs])

    return {"way": way, "difference": _share(likely(way), likely(generation.ALONE))}


def _asked() -> list[str]:
    return [row["instruction"] for row in data.corpus_rows("ordinary")[: N_PROMPTS - 1]] + ["Hi"]


def _prompts() -> list[list[int]]:
    tokenizer = architectures.tokenizer()
    return [encode_prompt(tokenizer, prompt_text(tokenizer, instruction=text)) for text in _asked()]


def saved_and_loaded(model: PreTrainedModel, folder: Path, ids: torch.Tensor) -> float:
    """Logits of the base model from its folder, against those before."""
    architectures.save(model, folder)
    loaded, _ = load_base(str(folder), precision="fp32", device="cpu")
    with torch.inference_mode():
        return _share(loaded(input_ids=ids).logits, model(input_ids=ids).logits)


def adapter(name: str, folder: Path, ids: torch.Tensor) -> dict[str, Any]:
    """Logits with an adapter from its folder, against PEFT's own."""
    base, _ = load_base(str(folder), precision="fp32", device="cpu")
    adapted = with_adapter(base, Recipe(lora_rank=4)).eval()
    _fill(adapted)
    save_adapter(adapted, folder / "adapter")
    again, _ = load_base(str(folder), precision="fp32", device="cpu")
    with torch.inference_mode():
        expected = PeftModel.from_pretrained(again, str(folder / "adapter")).eval()(input_ids=ids).logits
        fresh, _ = load_base(str(folder), precision="fp32", device="cpu")
        ours = load_adapter(fresh, folder / "adapter")
        return {
            "merged": not isinstance(ours, PeftModel),
            "difference": _share(ours(input_ids=ids).logits, expected),
        }


def _plainly(model: PreTrainedModel, prompt: list[int], stop: int) -> list[int]:
    said: list[int] = []
    while len(said) < N_NEW and stop not in said:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([prompt + said]), use_cache=False).logits
        said.append(int(logits[0, -1].argmax()))
    return said


def _fill(adapted: PeftModel) -> None:
    """Give an adapter weights that are seen: it starts as zero."""
    torch.manual_seed(0)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)


def _gradient(loss: torch.Tensor, weights: list[torch.nn.Parameter]) -> torch.Tensor:
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return torch.cat([part.flatten() for part in found if part is not None])


def _share(found: torch.Tensor, expected: torch.Tensor) -> float:
    size = expected.float().norm().clamp(min=1e-12)
    return float(f"{((found - expected).float().norm() / size).item():.1e}")


if __name__ == "__main__":
    main()
