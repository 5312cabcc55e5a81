"""Where the time of a training step, an answer and a score goes, on the machine that this runs on.

    python benchmarks/step_profile.py
    python benchmarks/step_profile.py --threads 1 --kind training   # one profile, in this process, as JSON

Each kind of work is profiled with PyTorch's profiler in a process of its own, with all threads, and training
also as a study does it, with two processes of half the threads side by side. An operation's own time is put
under what it is for:

    layers       the products with the weights of the layers and of the adapter, forward and backward
    vocabulary   the product with the vocabulary, and the loss or the choice on its logits
    attention    the products of queries with keys and of weights with values, and the softmax between them
    small        all other operations: norms, activations, rotary positions, additions, copies, casts
    between      what is left of the wall time: Python, the dispatch of operations, waiting

``of_the_product_rate`` sets the layers' products against the speed of one product of their shape, alone in
the same process. Writes ``data/results/step_profile.json``, which the speed page reads.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from finetune_speed import RECIPE, mixture
from peft import PeftModel
from taking_turns import quiet, together, versions
from torch.profiler import ProfilerActivity, profile

from safetune_utils import data, places
from safetune_utils.generation.decoding import ordered_weights
from safetune_utils.generation.generate import generate
from safetune_utils.machine import stopping
from safetune_utils.machine.files import write_json
from safetune_utils.machine.surroundings import surroundings
from safetune_utils.models.base_model import load_base
from safetune_utils.scoring import harmfulness, probe
from safetune_utils.settings import Decoding
from safetune_utils.training.finetune import with_adapter
from safetune_utils.training.loss import accumulate_gradient, proven_way
from safetune_utils.training.rows import encode

STEPS, PROMPTS, ANSWERS = 8, 32, 128
_PRODUCTS = ("aten::mm", "aten::addmm", "aten::linear", "mkldnn::_linear_pointwise", "aten::mkldnn_linear")
_ATTENTION = ("aten::bmm", "aten::baddbmm", "aten::_softmax", "aten::_softmax_backward_data")
_ATTENTION_FUSED = "scaled_dot_product"
_LOSS = ("aten::_log_softmax", "aten::_log_softmax_backward_data", "aten::max", "aten::nll_loss")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=KINDS, help="one profile, in this process")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    if given.kind:
        stopping.end_with_parent()
        quiet()
        torch.set_num_threads(given.threads)
        print(json.dumps(KINDS[given.kind]()))
        return
    alone = {kind: _run(kind, threads=given.threads) for kind in KINDS}
    half = max(1, given.threads // 2)
    found = {
        "made_by": "benchmarks/step_profile.py",
        "profiles": {f"{kind}, {given.threads} threads": row for kind, row in alone.items()}
        | {f"training, one of two, threads each: {half}": _run("training", n=2, threads=half)},
        "machine": surroundings()["machine"],
        "versions": versions(("torch", "transformers", "peft")),
    }
    write_json(places.data_folder() / "results" / "step_profile.json", found)
    print(json.dumps(found["profiles"], indent=1))


def _run(kind: str, *, n: int = 1, threads: int) -> dict[str, Any]:
    """The profile of a kind of work, in a process of its own, beside n - 1 others that do the same."""
    command = [sys.executable, __file__, "--kind", kind, "--threads", str(threads)]
    return together(command, n=n, threads=threads)[0]


def training() -> dict[str, Any]:
    model, tokenizer = load_base("embedded")
    adapted = with_adapter(model, RECIPE)
    way = proven_way(adapted)
    rows, _ = encode(tokenizer, mixture().train, RECIPE)
    rows = sorted(rows, key=lambda row: len(row.ids))
    size = RECIPE.batch_size
    batches = [rows[i : i + size] for i in range(0, len(rows) - size, len(rows) // STEPS)][:STEPS]
    optimiser = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-4)

    def step(batch: list[Any]) -> None:
        accumulate_gradient(adapted, batch, RECIPE.micro_batch_tokens, way=way)
        optimiser.step()
        optimiser.zero_grad()

    adapted.train()
    step(batches[0])
    n_tokens = sum(len(row.ids) for batch in batches for row in batch)

    def work() -> None:
        for batch in batches:
            step(batch)

    return _profiled(work, n_tokens, model=adapted)


def answering() -> dict[str, Any]:
    model, tokenizer = load_base("embedded")
    asked = [row["instruction"] for row in data.corpus_rows("malicious")][:PROMPTS]
    decoding = Decoding(max_new_tokens=48, batch_size=PROMPTS)

    def answer() -> int:
        said = generate(
            model=model, tokenizer=tokenizer, instructions=asked, inputs=[""] * len(asked), decoding=decoding
        )
        return sum(one.n_tokens for one in said)

    with ordered_weights(model):
        n_tokens = answer()
        return _profiled(answer, n_tokens, model=model)


def scoring() -> dict[str, Any]:
    model, tokenizer = probe.reader(harmfulness.LAYER, "auto", "auto")
    rows = data.safety_examples("embedded")[:ANSWERS]
    prompts, answers = [row.instruction for row in rows], [row.output for row in rows]

    def score(n: int) -> None:
        harmfulness.score(prompts[:n], answers[:n])

    score(8)
    n_tokens = sum(len(tokenizer(text)["input_ids"]) for text in (*prompts, *answers))
    return _profiled(lambda: score(ANSWERS), n_tokens, model=model)


KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "training": training,
    "answering": answering,
    "scoring": scoring,
}


def _profiled(work: Callable[[], Any], n_tokens: int, *, model: Any) -> dict[str, Any]:
    """Shares of the wall time of some work, which has been done once before; without the profiler's own
    cost, the speed.
    """
    clock = time.perf_counter()
    work()
    seconds = time.perf_counter() - clock
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        clock = time.perf_counter()
        work()
        profiled = time.perf_counter() - clock
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    vocabulary = base.get_output_embeddings().weight.shape[0]
    spent: dict[str, float] = defaultdict(float)
    operations, longest, shape = 0.0, 0.0, (1, 1, 1)
    for event in seen.key_averages(group_by_input_shape=True):
        took = event.self_cpu_time_total / 1e6
        if not took or not event.key.startswith(("aten::", "mkldnn::")):
            continue
        shapes = [shape for shape in event.input_shapes if shape]
        wide = any(vocabulary in shape for shape in shapes)
        if event.key in _PRODUCTS:
            spent["vocabulary" if wide else "layers"] += took
            if not wide and event.key == "aten::mm" and len(shapes) == 2:
                (m, k), (_, n) = shapes
                operations += 2.0 * m * k * n * event.count
                if took > longest:
                    longest, shape = took, (m, k, n)
        elif event.key in _ATTENTION or _ATTENTION_FUSED in event.key:
            spent["attention"] += took
        else:
            spent["vocabulary" if wide or event.key in _LOSS else "small"] += took
    spent["between"] = max(0.0, profiled - sum(spent.values()))
    found: dict[str, Any] = {
        "tokens_per_second": round(n_tokens / seconds, 1),
        "precision": str(base.dtype).removeprefix("torch."),
        "profiler_slows_by": round(profiled / seconds, 2),
        "shares": {name: round(took / profiled, 3) for name, took in sorted(spent.items())},
    }
    if operations:
        rate = _product_rate(*shape, dtype=base.dtype)
        found["of_the_product_rate"] = round(operations / spent["layers"] / rate, 2)
    return found


def _product_rate(m: int, k: int, n: int, *, dtype: torch.dtype) -> float:
    """Operations a second of a product of this shape alone, the best of some tries."""
    a, b = torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype)
    best = float("inf")
    for _ in range(40):
        clock = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - clock)
    return 2.0 * m * k * n / best


if __name__ == "__main__":
    main()
