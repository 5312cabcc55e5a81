"""Measure how fast prompts are answered: the book's generation beside what one would otherwise use, on the
same prompts.

    CXXFLAGS="-fno-tree-dse -fno-dse" CMAKE_ARGS="-DGGML_NATIVE=ON" pip install -e '.[bench]'
    python benchmarks/generate_speed.py --prompts 48 --rounds 3

The two compiler flags are for llama.cpp on processors with AMX: GCC 12 takes the set-up of its matrix tiles
for dead code, and without the flags the first prompt ends in a segmentation fault.

Every side answers the first prompts of the set ``malicious`` under the Alpaca template with the embedded base
model. The sides take turns, each in a process of its own, so that a slow minute of the machine falls on one
round of all sides and not on one side. Loading the model and a small first batch are not timed; turning texts
into tokens and back is. ``--side NAME`` runs one side here and prints its measurements as one line of JSON.

The paper's decoding: 4 beams, 128 new tokens, nothing drawn.
    original-fp32
        the loop of the paper's repository: one prompt at a time, every step's scores kept. It is slow, so it
        answers the first 8 prompts only.
    plain-beams-fp32
        ``model.generate`` on 8 prompts at a time, in their own order, padded on the left.
    ours-beams-fp32
        ``safetune_utils.generation.generate.generate``, 8 prompts at a time.
    ours-beams-bf16
        the same in bf16.
The fp32 sides also give their texts, and the rounds count how many of the original's 8 they repeat letter by
letter.

Greedy decoding, 64 new tokens.
    plain-bf16
        ``model.generate`` on 16 prompts at a time, in their own order, padded on the left.
    plain-bf16-48
        the same on 48 at a time, longest first.
    ours-bf16
        ``safetune_utils.generation.generate.generate`` as it comes, 48 prompts at a time.
    continuous-batching-bf16
        ``model.generate_batch`` of transformers: an answer that ends makes room for the next prompt.
    llama-cpp-8, -16, -32
        llama.cpp on the same GGUF file (4 bit, so other answers), with so many prompts at once. A place that
        falls free is filled anew, and keeps what its last prompt has in common with its next one, as
        llama.cpp's own server does.

A token counts as useful up to, and without, the stop token. Ratios compare useful tokens per second, since
answers differ in length between number formats. ``matmul_gflops`` is the speed of a 1024 x 1024 matrix
product in the same process, just before and after.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from taking_turns import (
    by_side,
    machine,
    measured,
    plain_model,
    quiet,
    ratio,
    spread,
    take_turns,
    versions,
    write_result,
)
from transformers import AutoTokenizer, ContinuousBatchingConfig, GenerationConfig

from safetune_utils import data, places
from safetune_utils.generation import generate
from safetune_utils.machine import stopping
from safetune_utils.models import embedded
from safetune_utils.models.base_model import load_base
from safetune_utils.models.template import render
from safetune_utils.presets import resolve_decoding

PROMPT_SET = "malicious"
N_ORIGINAL = 8
PACKAGES = ("torch", "transformers", "llama-cpp-python")

# An answer as every side gives it: its text, and its length in tokens without the stop token.
Answers = list[tuple[str, int]]
# From prompts and a number of new tokens to answers; what is loaded for it lies outside the clock.
Way = Callable[[list[data.Prompt], int], Answers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", choices=SIDES, help="run one side in this process")
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--output", type=Path, default=places.data_folder() / "results" / "generate_speed.json"
    )
    given = parser.parse_args()
    if given.side:
        stopping.end_with_parent()
        quiet()
        print(json.dumps(run_side(given.side, given.prompts)))
        return
    rounds = take_turns(
        script=Path(__file__),
        sides=list(SIDES),
        rounds=given.rounds,
        arguments=["--prompts", str(given.prompts)],
    )
    compare_texts(rounds)
    table = summary(rounds)
    llamas = [row for row in table if row["side"].startswith("llama-cpp") and "error" not in row]
    result = {
        "made_by": "benchmarks/generate_speed.py",
        "prompts": given.prompts,
        "prompt_set": PROMPT_SET,
        "rounds": rounds,
        "summary": table,
        "fastest_llama_cpp": max(llamas, key=lambda row: row["tokens_per_second"]["median"])["side"]
        if llamas
        else None,
    }
    write_result(given.output, result | {"machine": machine(rounds), "versions": versions(PACKAGES)})


def run_side(side: str, n_prompts: int) -> dict[str, Any]:
    asked = data.prompts("embedded", PROMPT_SET)[
        : min(n_prompts, N_ORIGINAL) if side == "original-fp32" else n_prompts
    ]
    way = SIDES[side]()
    way(asked[:2], 4)
    responses, measures = measured(lambda: way(asked, 128 if side in PAPER_SIDES else 64))
    n_tokens, seconds = sum(length for _, length in responses), measures["seconds"]
    return {
        "side": side,
        "precision": "fp32" if "fp32" in side else "q4_1" if "llama" in side else "bf16",
        "prompts": len(asked),
        "tokens": n_tokens,
        "answers_per_second": round(len(asked) / seconds, 3),
        "tokens_per_second": round(n_tokens / seconds, 1),
        **measures,
        **({"texts": [text for text, _ in responses[:N_ORIGINAL]]} if "fp32" in side else {}),
    }


def original(precision: str) -> Way:
    model, tokenizer = plain_model(precision)

    def way(asked: list[data.Prompt], n_new: int) -> Answers:
        responses = []
        for text in rendered(asked):
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            config = GenerationConfig(num_beams=4, do_sample=False)
            with torch.no_grad():
                output = model.generate(
                    input_ids=ids,
                    generation_config=config,
                    return_dict_in_generate=True,
                    output_scores=True,
                    max_new_tokens=n_new,
                )
            responses.append(answer(tokenizer, output.sequences[0, ids.shape[1] :].tolist()))
        return responses

    return way


def plain(precision: str, *, batch_size: int, num_beams: int = 1, longest_first: bool = False) -> Way:
    model, tokenizer = plain_model(precision)

    def way(asked: list[data.Prompt], n_new: int) -> Answers:
        texts = rendered(asked)
        order = list(range(len(texts)))
        if longest_first:
            order.sort(key=lambda i: len(tokenizer(texts[i])["input_ids"]), reverse=True)
        responses: dict[int, tuple[str, int]] = {}
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = tokenizer(
                [texts[i] for i in rows], padding=True, padding_side="left", return_tensors="pt"
            )
            output = model.generate(**batch, num_beams=num_beams, do_sample=False, max_new_tokens=n_new)
            for i, ids in zip(rows, output[:, batch["input_ids"].shape[1] :].tolist(), strict=True):
                responses[i] = answer(tokenizer, ids)
        return [responses[i] for i in range(len(texts))]

    return way


def ours(precision: str, decoding: str, **entries: Any) -> Way:
    model, tokenizer = load_base("embedded", precision=precision)

    def way(asked: list[data.Prompt], n_new: int) -> Answers:
        how = resolve_decoding(decoding, max_new_tokens=n_new, **entries)
        texts, inputs = [prompt.text for prompt in asked], [prompt.input for prompt in asked]
        responses = generate.generate(
            model=model, tokenizer=tokenizer, instructions=texts, inputs=inputs, decoding=how
        )
        return [(given.text, given.n_tokens) for given in responses]

    return way


def continuous_batching(precision: str) -> Way:
    model, tokenizer = plain_model(precision)
    # Left to itself its cache takes six tenths of the machine's memory. This one holds 48 prompts, each with
    # its answer up to 192 tokens.
    size = ContinuousBatchingConfig(
        page_size=64, num_blocks=3 * 48, max_batch_tokens=2048, max_requests_per_batch=48
    )

    def way(asked: list[data.Prompt], n_new: int) -> Answers:
        ids = [tokenizer(text)["input_ids"] for text in rendered(asked)]
        config = GenerationConfig(
            max_new_tokens=n_new,
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        # The manager stays from the small first batch on: setting it up is loading, not answering.
        found = model.generate_batch(
            ids,
            generation_config=config,
            continuous_batching_config=size,
            max_new_tokens=n_new,
            persistent_manager=True,
        )
        if len(found) < len(ids) or any(output.error for output in found.values()):
            raise RuntimeError(
                next(
                    (output.error for output in found.values() if output.error),
                    "some prompts were not answered",
                )
            )
        return [answer(tokenizer, output.generated_tokens) for output in found.values()]

    return way


class Slots:
    """llama.cpp with so many sequences side by side, each with room for so many tokens."""

    def __init__(self, n: int, *, room: int) -> None:
        import llama_cpp

        logging.getLogger("llama-cpp-python").setLevel(logging.ERROR)
        self.library = llama_cpp
        model = llama_cpp.llama_model_load_from_file(
            str(embedded.gguf_path()).encode(), llama_cpp.llama_model_default_params()
        )
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = settings.n_batch = n * room
        settings.n_seq_max = settings.n_outputs_max = n
        # One step then takes whole prompts and single tokens alike; kept apart was slower in trials.
        settings.kv_unified = True
        settings.n_threads = settings.n_threads_batch = torch.get_num_threads()
        self.context = llama_cpp.llama_init_from_model(model, settings)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(settings.n_batch, 0, 1)
        self.n_vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        self.held: list[list[int]] = [[] for _ in range(n)]  # the tokens in each slot's cache

    def start(self, slot: int, prompt: list[int]) -> list[int]:
        """Make a slot ready for a prompt; what of the prompt its cache lacks, the last token at least."""
        held = self.held[slot]
        n = next(
            (i for i, (a, b) in enumerate(zip(held, prompt[:-1], strict=False)) if a != b),
            min(len(held), len(prompt) - 1),
        )
        self.library.llama_memory_seq_rm(self.memory, slot, n, -1)
        self.held[slot] = prompt[:n]
        return prompt[n:]

    def step(self, fed: dict[int, list[int]]) -> dict[int, int]:
        """Feed each slot its tokens; each slot's likeliest next one."""
        batch = self.batch
        batch.n_tokens = 0
        for slot, tokens in fed.items():
            for token in tokens:
                at = batch.n_tokens
                batch.token[at], batch.pos[at], batch.logits[at] = token, len(self.held[slot]), 0
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, slot
                self.held[slot].append(token)
                batch.n_tokens += 1
            batch.logits[batch.n_tokens - 1] = 1
        if status := self.library.llama_decode(self.context, batch):
            raise RuntimeError(f"llama_decode returned {status}")
        shape = (len(fed), self.n_vocabulary)
        logits = np.ctypeslib.as_array(self.library.llama_get_logits(self.context), shape=shape)
        return dict(zip(fed, logits.argmax(axis=1).tolist(), strict=True))


def llama(*, slots: int) -> Way:
    sequences = Slots(slots, room=256)
    tokenizer = AutoTokenizer.from_pretrained(embedded.embedded_folder())

    def way(asked: list[data.Prompt], n_new: int) -> Answers:
        prompts = [tokenizer(text)["input_ids"] for text in rendered(asked)]
        said: list[list[int]] = [[] for _ in prompts]
        waiting = list(reversed(range(len(prompts))))
        running: dict[int, int] = {}  # slot -> its prompt
        while waiting or running:
            fed = {slot: said[i][-1:] for slot, i in running.items()}
            for slot in range(slots):
                if slot not in running and waiting:
                    running[slot] = waiting.pop()
                    fed[slot] = sequences.start(slot, prompts[running[slot]])
            for slot, token in sequences.step(fed).items():
                i = running[slot]
                said[i].append(token)
                if token == tokenizer.eos_token_id or len(said[i]) == n_new:
                    del running[slot]
        return [answer(tokenizer, ids) for ids in said]

    # In a thread of its own: llama.cpp sets up a thread's AMX tiles once, and a matrix product of PyTorch on
    # the same thread undoes that, which ends in an illegal instruction.
    alone = ThreadPoolExecutor(max_workers=1)
    return lambda asked, n_new: alone.submit(way, asked, n_new).result()


SIDES: dict[str, Callable[[], Way]] = {
    "original-fp32": partial(original, "fp32"),
    "plain-beams-fp32": partial(plain, "fp32", batch_size=8, num_beams=4),
    "ours-beams-fp32": partial(ours, "fp32", "paper", batch_size=8),
    "ours-beams-bf16": partial(ours, "bf16", "paper", batch_size=8),
    "plain-bf16": partial(plain, "bf16", batch_size=16),
    "plain-bf16-48": partial(plain, "bf16", batch_size=48, longest_first=True),
    "ours-bf16": partial(ours, "bf16", "greedy"),
    "continuous-batching-bf16": partial(continuous_batching, "bf16"),
    "llama-cpp-8": partial(llama, slots=8),
    "llama-cpp-16": partial(llama, slots=16),
    "llama-cpp-32": partial(llama, slots=32),
}
PAPER_SIDES = ("original-fp32", "plain-beams-fp32", "ours-beams-fp32", "ours-beams-bf16")


def rendered(asked: list[data.Prompt]) -> list[str]:
    return [render(instruction=prompt.text, input=prompt.input) for prompt in asked]


def answer(tokenizer: Any, ids: list[int]) -> tuple[str, int]:
    kept = ids[: ids.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in ids else ids
    return tokenizer.decode(kept, skip_special_tokens=True).strip(), len(kept)


def compare_texts(rounds: list[list[dict[str, Any]]]) -> None:
    """Put in the texts' place how many of them are the original's, letter by letter."""
    for row in rounds:
        runs = {run["side"]: run.pop("texts") for run in row if "texts" in run}
        theirs = runs.get("original-fp32", [])
        for run in row:
            if run["side"] in runs and theirs:
                same = sum(a == b for a, b in zip(runs[run["side"]], theirs, strict=True))
                run["same_text_as_original"] = f"{same} of {len(theirs)}"


def summary(rounds: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    found = []
    for name, runs in by_side(rounds).items():
        if error := next((run["error"] for run in runs if "error" in run), None):
            found.append({"side": name, "error": error})
            continue
        reference = ("ours-beams-fp32", "ours-beams-bf16") if name in PAPER_SIDES else ("ours-bf16",)
        found.append(
            {
                "side": name,
                "precision": runs[0]["precision"],
                "prompts": runs[0]["prompts"],
                "answers_per_second": spread([run["answers_per_second"] for run in runs]),
                "tokens_per_second": spread([run["tokens_per_second"] for run in runs]),
                "ratio_of_ours": {which: ratio(rounds, which, name) for which in reference},
                "peak_memory_bytes": int(statistics.median(run["peak_memory_bytes"] for run in runs)),
                **(
                    {"same_text_as_original": [run["same_text_as_original"] for run in runs]}
                    if "same_text_as_original" in runs[0]
                    else {}
                ),
            }
        )
    return found


if __name__ == "__main__":
    main()
