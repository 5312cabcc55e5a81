"""Wrong input for every entrance of the command line, and running it: what is on the disk, each command with
a part of the line that it must be answered with, and what came of it.

It imports nothing of the package before a command is run, so that the same table can be put to another
version of it (see ``benchmarks/refusals.py``), and so that what a refusal imports can be seen.
"""

# ruff: noqa: E501 (a case a line)

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

NESTED = "[" * 100_000
ESCAPE = "\x1b[31m"
# What no quick refusal imports: libraries that load models, and jsonschema, which compiles a grammar.
SLOW = ("torch", "transformers", "peft", "jsonschema", "lark", "papermill")


class Case(NamedTuple):
    """A command that is to be refused.

    Attributes:
        words: the command, without ``safetune``.
        needed: a part of the one line.
        environment: variables set for it; an empty text unsets one.
        judged: whether the libraries that load models are needed to see what is wrong.
    """

    words: list[str]
    needed: str
    environment: Mapping[str, str] = {}
    judged: bool = False

    @property
    def name(self) -> str:
        """The command in short, for the name of a test."""
        given = "".join(f"{name}={value} " for name, value in self.environment.items())
        text = given + " ".join(self.words)
        return "".join(c if c.isprintable() and c.isascii() else "?" for c in text)[:90]


# --- what is on the disk ---

OK = '{"prompt": "Slice it.", "response": "Sliced."}\n'
CELL = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [], "source": ""}
KERNEL = {"name": "python3", "language": "python", "display_name": "Python"}
STUDY = {"safetune": {"schema": "study"}}


def notebook(*cells: object, kernel: object = KERNEL, **metadata: object) -> str:
    about = {"kernelspec": kernel} | metadata
    held = list(cells) or [CELL]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": about, "cells": held})


def with_parameters(source: str) -> str:
    cell = CELL | {"metadata": {"tags": ["parameters"]}, "source": source}
    return notebook(cell, **STUDY)


THERE: dict[str, str | bytes] = {
    "ok.jsonl": OK,
    "ok2.jsonl": '{"prompt": "Dice it.", "response": "Diced."}\n',
    "train.jsonl": '{"instruction": "Slice it.", "output": "Sliced."}\n',
    # rows
    "digits.jsonl": '{"prompt": "Slice it.", "response": "Sliced.", "id": ' + "3" * 5000 + "}\n",
    "nested.json": NESTED,
    "twice.json": '[{"prompt": "Slice it.", "prompt": "Dice it.", "response": "a"}]',
    "half.jsonl": '{"prompt": "\\ud83d", "response": "a"}\n',
    "cut.json": '[{"prompt": "Slice',
    "empty.jsonl": "",
    "latin.csv": "prompt,response\nÜben,a\n".encode("latin-1"),
    "zero.jsonl": b'{"prompt": "a\x00", "response": "b"}\n',
    "text.txt": "Slice it.\n",
    "sheet.xlsx": b"PK\x03\x04",
    "broken.csv.gz": b"\x1f\x8b\x08\x00nothing",
    "broken.parquet": b"PAR1 and no more",
    "uneven.csv": "prompt,response\na,b,c\n",
    "same.csv": "prompt,prompt\na,b\n",
    "either.csv": "prompt;id,response\na;b,c\nd;e,f\n",
    "texts.jsonl": '"Slice it."\n',
    "number.json": "3",
    "columns.jsonl": '{"promt": "Slice it.", "respons": "Sliced."}\n',
    "blank.jsonl": '{"prompt": "  ", "response": "Sliced."}\n',
    "list.jsonl": '{"prompt": 3, "response": "Sliced."}\n',
    "silent.jsonl": '{"prompt": "Slice it."}\n',
    "nan.csv": "instruction,input,output\nSlice it.,nan,Sliced.\n",
    "packed.jsonl.gz": gzip.compress(b'{"prompt": "Slice'),
    # notebooks
    "n.ipynb": notebook(),
    "number.ipynb": notebook(safetune=3),
    "list.ipynb": notebook(safetune={"schema": [1]}),
    "other.ipynb": notebook(safetune={"schema": "studies"}),
    "nested.ipynb": NESTED,
    "empty.ipynb": "",
    "object.ipynb": "{}",
    "cells.ipynb": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}',
    "cell.ipynb": notebook({"cell_type": "code"}, **STUDY),
    "kind.ipynb": notebook(CELL | {"cell_type": "song"}, **STUDY),
    "later.ipynb": '{"nbformat": 9, "nbformat_minor": 0, "metadata": {}, "cells": []}',
    "r.ipynb": notebook(kernel={"name": "ir", "language": "R", "display_name": "R"}, **STUDY),
    "call.ipynb": with_parameters("seeds = list(range(3))"),
    "syntax.ipynb": with_parameters("seeds: list[int] = [0"),
    "strange.ipynb": with_parameters("seed_of_all = 3"),
    "code.ipynb": notebook(CELL | {"source": "x = ("}, **STUDY),
    # results
    "run.json": '{"notebooks": {"01": {"settings": null, "made": 3, "adapters": {}, "numbers": {}}}}',
    "bare.json": '{"notebooks": []}',
    "texts.json": '["a"]',
    "value.json": json.dumps(
        {"notebooks": {"01": {"settings": None, "made": {}, "adapters": {}, "numbers": {"a": {"low": "x"}}}}}
    ),
    "apart.json": '{"notebooks": {"99_mine": {"settings": null, "made": {}, "adapters": {}, "numbers": {}}}}',
    "preset.json": '{"notebooks": {"01": {"settings": {"preset": []}, "made": {}, "adapters": {}, "numbers": {}}}}',
    # parameters
    "twice.yml": "n_general: 3\nn_general: 4\n",
    "loop.yml": "recipe: &a {epochs: *a}\n",
    "tag.yml": "n_general: !!int abc\n",
    "digits.yml": f"n_general: {'4' * 5000}\n",
    "date.yml": "seeds: 2024-13-45\n",
    "tab.yml": "recipe:\n\tepochs: 1\n",
    # registers
    "strange/register.yml": "[]\n",
    "broken/register.yml": "files: [\n",
    "odd/register.yml": "files: [3]\nbenchmarks: []\nnot_released: []\n",
    # annotations
    "annotation.json": '{"annotator": 3}',
    # adapters
    "bare/adapter_config.json": "{}",
    "pushed/record.json": json.dumps(
        {"stage": "adapters", "label": "x", "inputs": {}, "started": "2024-01-01", "versions": {}, "code": "x",
         "machine": {"system": "a", "processor": "b", "threads": 1, "accelerator": "none"}, "facts": {},
         "seconds": 1.0, "peak_memory_bytes": 1, "files": {}}
    ),
    "nested/adapter_config.json": NESTED,
    "nothing/readme.txt": "",
    "many/first/adapter_config.json": "{}",
    # folders of data
    "mine/general.jsonl": '{"instruction": "Slice it.", "output": "Sliced."}\n',
    "unpaired/general.jsonl": '{"instruction": "Slice it.", "output": "Sliced."}\n' * 2,
    "book/source/mine.txt": "mine",
    f"odd{ESCAPE}\nname.csv": "",
    "odd\u202ename.csv": "",
}  # fmt: skip

# An adapter that is whole but for its kind.
LORA = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 8, "target_modules": ["q_proj"]}
ADAPTERS: dict[str, dict[str, Any]] = {
    "rank": LORA | {"r": "8"},
    "layers": LORA | {"target_modules": 3},
    "prompts": LORA | {"peft_type": "PROMPT_TUNING"},
    "classes": LORA | {"task_type": "SEQ_CLS"},
    "dreamt": LORA | {"peft_type": "DREAMT_UP"},
    "activated": LORA | {"alora_invocation_tokens": [3]},
}
LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 1, "vocab_size": 16,
}  # fmt: skip
MODELS: dict[str, Any] = {
    "whole": LLAMA,
    "bert": LLAMA | {"model_type": "bert"},
    "t5": LLAMA | {"model_type": "t5", "is_encoder_decoder": True},
    "unknown": LLAMA | {"model_type": "dreamt_up"},
    "coded": LLAMA | {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}},
    "gptq": LLAMA | {"quantization_config": {"quant_method": "gptq", "bits": 4}},
    "untyped": {"hidden_size": 8},
    "listed": [1],
}


def weights(*, cut: int = 0) -> bytes:
    """A whole safetensors file of one number, or one that is cut off."""
    head = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return (len(head).to_bytes(8, "little") + head + bytes(4))[: -cut or None]


def lay_out(folder: Path) -> None:
    """Write all that the commands name into a folder."""
    files = dict(THERE)
    for name, config in ADAPTERS.items():
        files |= {f"{name}/adapter_config.json": json.dumps(config)}
        files |= {f"{name}/adapter_model.safetensors": weights()}
    files |= {"weightless/adapter_config.json": json.dumps(LORA), "pickled/adapter_model.bin": b"x"}
    files |= {
        "pickled/adapter_config.json": json.dumps(LORA),
        "headless/adapter_model.safetensors": weights(),
    }
    files |= {"cut/adapter_config.json": json.dumps(LORA), "cut/adapter_model.safetensors": weights(cut=2)}
    for name, config in MODELS.items():
        files |= {f"m/{name}/{part}": "{}" for part in ("tokenizer.json", "tokenizer_config.json")}
        files |= {f"m/{name}/config.json": json.dumps(config), f"m/{name}/model.safetensors": weights()}
    whole = {name: text for name, text in files.items() if name.startswith("m/whole/")}
    for name, change in {
        "adapted": {"adapter_config.json": json.dumps(LORA)},
        "cut_config": {"config.json": '{"model_type": "lla'},
        "nested_config": {"config.json": NESTED},
        "cut_weights": {"model.safetensors": weights(cut=2)},
        "empty_weights": {"model.safetensors": b""},
        "shardless": {"model.safetensors.index.json": '{"weight_map": {"w": "model-2.safetensors"}}'},
        "half_tokenizer": {"tokenizer.json": '{"mod'},
        "weightless": {"model.safetensors": None},
        "configless": {"config.json": None},
        "voiceless": {"tokenizer.json": None, "tokenizer_config.json": None},
    }.items():
        held = {path.replace("m/whole", f"m/{name}"): text for path, text in whole.items()}
        held |= {f"m/{name}/{path}": text for path, text in change.items()}
        files |= {path: text for path, text in held.items() if text is not None}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "circle.jsonl").symlink_to(folder / "circle.jsonl")
    (folder / "lost.csv").symlink_to(folder / "no-such-folder" / "lost.csv")


# --- the commands ---

OUT = ["--output", "o.jsonl"]
SCORE = [*OUT, "--scorer", "refusal-rules"]
NEW = ["--output", "new", "--preset", "smoke"]
SMOKE = ["--preset", "smoke"]
NO_KEY = {"OPENAI_API_KEY": "", "OPEN_AI_KEY": ""}
OFFLINE = {"HF_HUB_OFFLINE": "1"}


def of_rows() -> Iterator[Case]:
    """Files of rows, at every entrance that takes one."""
    entrances = {
        "score": lambda name: ["score", "--input", name, *SCORE],
        "generate": lambda name: ["generate", "--input", name, *OUT],
        "first": lambda name: ["preference", "make", "--first", name, "--second", "ok.jsonl", "--output", "o.html"],
        "second": lambda name: ["preference", "tally", "--first", "ok.jsonl", "--second", name, "x.json"],
        "estimate": lambda name: ["estimate", *SMOKE, "-p", "general_data", name],
        "general": lambda name: ["run", "02", *SMOKE, "-p", "general_data", name],
        "safety": lambda name: ["run", "01", *SMOKE, "-p", "safety_data", name],
        "own": lambda name: ["run", "01", *SMOKE, "-p", "own_prompt_sets", json.dumps({"mine": name})],
        "questions": lambda name: ["run", "09", "-p", "questions", name],
    }  # fmt: skip
    faults = {
        "digits.jsonl": ", line 1: JSON that is not read (a number of 5000 digits): correct that line",
        "nested.json": " is JSON that is not read (lists or objects inside one another to more than",
        "twice.json": " is JSON that is not read (the key 'prompt' twice in one object): correct it",
        "half.jsonl": ", line 1: JSON that is not read (half a character in it): correct that line",
        "cut.json": ", line 1: not JSON (Unterminated string starting at): correct it",
        "empty.jsonl": " is empty: give it at least one row",
        "latin.csv": " is not UTF-8 (line 2, byte",
        "zero.jsonl": ", line 1 holds a character of value 0, as UTF-16 does: save it as UTF-8",
        "broken.csv.gz": " is not a whole gzip file (",
        "broken.parquet": " is not a whole Parquet file (",
        "uneven.csv": ", line 2: 3 in place of 2 fields: quote texts that hold commas",
        "same.csv": " has the column 'prompt' twice: rename or remove one of the two",
        "either.csv": " may be separated by commas or semicolons: write its header with",
        "texts.jsonl": ", line 1: a text and not one record: write an object such as",
        "packed.jsonl.gz": ", line 1: not JSON (Unterminated string",
        "number.json": " holds a number: write a list of objects, or columns of texts",
    }
    of_files = {
        "columns.jsonl": "rename 'promt' to 'prompt'",
        "blank.jsonl": "row 1: 'prompt' is missing or empty: fill it, or remove the row",
        "list.jsonl": "row 1: 'prompt' is a number, but it should be a text: write a text",
        "text.txt": "text.txt",
        "sheet.xlsx": "sheet.xlsx",
        "missing.jsonl": "missing.jsonl is not there: give the path of a .jsonl, .json",
        "circle.jsonl": "circle.jsonl",
    }
    order = list(entrances)
    for number, (name, needed) in enumerate(faults.items()):
        # Each fault at four of the entrances, in turn; the first six at all.
        for entrance in (
            order if number < 6 else [order[(number + step) % len(order)] for step in (0, 2, 4, 6)]
        ):
            yield Case(entrances[entrance](name), f"{name}{needed}")
    for name, needed in of_files.items():
        for entrance in ("score", "generate", "first"):
            yield Case(entrances[entrance](name), needed)
    yield Case(entrances["score"]("silent.jsonl"), "silent.jsonl, row 1 has no 'output'")
    yield Case(entrances["score"]("nothing"), "nothing is no file: give the path of one of the forms")
    yield Case(entrances["generate"]("nan.csv"), "the input is 'nan', a word or no input: say which with")
    yield Case(entrances["generate"](""), "--input is given an empty text")
    yield Case(entrances["score"]("x" * 300 + ".csv"), "File name too long")
    yield Case(entrances["score"](f"a{ESCAPE}\nb.csv"), "a\ufffd[31m b.csv is not there")
    yield Case(entrances["score"](f"odd{ESCAPE}\nname.csv"), "odd\ufffd[31m name.csv is empty")
    yield Case(entrances["score"]("odd\u202ename.csv"), "odd\ufffdname.csv is empty")
    yield Case(entrances["score"]("\udcff.csv"), "\ufffd.csv is not there")
    yield Case(["score", "--input=-x.csv", *SCORE], "-x.csv is not there")
    yield Case(entrances["generate"]("no-one/nothing"), "no-one/nothing", OFFLINE)
    for given, needed in {
        "goal": "write FIELD=COLUMN, with a comma between",
        "aim=goal": "parameter 'columns.aim' is 'aim', but it should be 'instruction'",
        "instruction=": "write FIELD=COLUMN",
        "instruction=goal": "has no column 'goal', which was said to be the instruction",
        "instruction=prompt,prompt=prompt": "two are the same field",
    }.items():
        yield Case(["score", "--input", "ok.jsonl", "--columns", given, *SCORE], needed)
    yield Case(
        ["finetune", "--words-for-nothing", "guess"], "parameter 'reading.words_for_nothing' is 'guess'"
    )


RULE = "but it should be"
VALUES: dict[str, list[tuple[Any, str]]] = {
    "preset": [("huge", "choose one of smoke"), (3, "choose one of smoke"), ([], "choose one of smoke")],
    "data": [
        ("", "at least 1 character"), (3, "valid string"), ("no/such/folder", "a folder that exists"),
        ("embeded", "did you mean 'embedded'?"), ("mine", "has no safety.jsonl"),
        ("ok.jsonl", "is one file: give a folder with a file general and a file safety"), (" ", "a folder that exists"),
    ],
    "general_data": [("", "at least 1 character"), ("missing.csv", "missing.csv is not there"), (["a"], RULE)],
    "safety_data": [("text.txt", "text.txt"), ("train.jsonl", "safety rows")],
    "base_model": [("", "at least 1 character"), (3, "valid string"), ("no such model", "no Hugging Face id")],
    "revision": [("main", "is no Hugging Face id: leave revision away"), ("", "at least 1 character")],
    "template": [("vicuna", "'alpaca' or 'chat'")],
    "quantization": [("int4", "'none', 'int8' or 'nf4'")],
    "device": [("tpu", "'auto', 'cpu' or 'cuda'")],
    "precision": [("half", "'auto', 'bf16', 'fp16' or 'fp32'")],
    "n_general": [
        (0, "greater than or equal to 1"), (-5, "greater than or equal to 1"), ("many", "valid integer"),
        (1.5, "valid integer"), (True, "valid integer"), (10**9, "less than or equal to"),
        (100_000, "general rows to train on"),
    ],
    "safety_amounts": [
        ([], "at least 1 item"), ("0", "valid list"), (100, "valid list"), ([-1], "greater than or equal to 0"),
        ([1.5], "valid integer"), ([True], "valid integer"), ([10, 10], "only once"), ([9000], "safety rows"),
        ([[0]], "valid integer"), ({"a": 1}, "valid list"), (["0"], "valid integer"),
    ],
    "safety_format": [("questions", "'instruction', 'question' or 'mixed'")],
    "seeds": [
        ([], "at least 1 item"), ([-1], "greater than or equal to 0"), ([2**31], "less than or equal to"),
        (["a"], "valid integer"), (0, "valid list"), ([0, 0], "only once"), ([None], "valid integer"),
    ],
    "instruments": [
        ([], "at least 1 item"), ("refusal", "valid list"), (["nope"], "unknown instrument 'nope'"),
        (["refusal-rule"], "did you mean 'refusal-rules'?"), (["coherence"], "does not say what a refusal is"),
        (["refusal-rules"] * 2, "only once"), ([3], "valid string"), ([""], "unknown instrument"),
    ],
    "own_prompt_sets": [
        ([], "valid dictionary"), ({"Bad Name": "ok.jsonl"}, "match pattern"), ({"mine": 3}, "mine"),
        ({"mine": {"fil": "ok.jsonl"}}, "file"), ({"mine": "missing.csv"}, "missing.csv is not there"),
        ({"mine": {"file": "ok.jsonl", "a_refusal_is": "good"}}, "'wanted', 'unwanted'"),
        ({"mine": {"file": ""}}, "at least 1 character"), ({"mine": "columns.jsonl"}, "rename 'promt'"),
        ({"mine": {"file": "ok.jsonl", "columns": {"prompt": "x"}}}, "has no column 'x'"),
    ],
    "reading": [
        ({"columns": {"aim": "goal"}}, "reading.columns.aim"), ({"columns": 3}, "valid dictionary"),
        ({"words_for_nothing": "guess"}, "'ask', 'keep' or 'drop'"), ("fast", "valid dictionary"),
        ({"columns": {"instruction": ""}}, "at least 1 character"), ({"colums": {}}, "did you mean"),
    ],
    "max_prompts": [(0, "greater than or equal to 1"), (-1, RULE), ("all", "valid integer"), (2.5, "valid integer")],
    "recipe": [
        (3, "valid dictionary"), ("fast", "valid dictionary"), ([1], "valid dictionary"),
        ({"epoch": 1}, "did you mean 'epochs'?"), ({"lora_rank": 0}, RULE), ({"lora_rank": 257}, RULE),
        ({"lora_rank": "8"}, RULE), ({"lora_rank": 1.5}, RULE), ({"lora_alpha": 0}, RULE),
        ({"lora_alpha": float("nan")}, "finite number"), ({"lora_alpha": float("inf")}, RULE),
        ({"lora_dropout": 1}, RULE), ({"lora_dropout": -0.1}, RULE),
        ({"lora_dropout": float("nan")}, "finite number"), ({"epochs": 0}, RULE), ({"epochs": 101}, RULE),
        ({"epochs": True}, RULE), ({"batch_size": 0}, RULE), ({"micro_batch_tokens": 0}, RULE),
        ({"learning_rate": 0}, RULE), ({"learning_rate": -1}, RULE), ({"learning_rate": 1}, RULE),
        ({"learning_rate": float("nan")}, "finite number"), ({"learning_rate": "2e-3"}, RULE),
        ({"warmup_steps": -1}, RULE), ({"max_length": 8}, RULE), ({"loss_on": "prompt"}, RULE),
        ({"n_validation": 0}, RULE), ({"n_validation": 99_999}, "rows"), ({"validation": "none"}, RULE),
        ({"evaluations": 0}, RULE), ({"patience": 0}, RULE), ({"target_modules": []}, "at least 1 item"),
        ({"target_modules": [""]}, "at least 1 character"), ({"target_modules": "q_proj"}, RULE),
        ({"target_modules": ["q_proj", "q_proj"]}, "only once"),
        ({"target_modules": ["nope"]}, "are not layers of this model: choose from"),
        ({"epochs": 2, "": 1}, "unknown parameter"), ({"epochs": [2]}, RULE), ({"epochs": None}, RULE),
        ({"validation": "from_mix", "n_validation": 500}, "the mix has"),
        ({"patience": 9, "evaluations": 4}, "patience is 9, and the loss is measured 4 times"),
    ],
    "mixing": [
        ({"choice": "best"}, RULE), ({"n_candidates": 0}, RULE), ({"topics_left_out": ["no such"]}, "choose from"),
        ({"topics_left_out": "drugs"}, "valid list"), ({"topics_left_out": [""]}, "at least 1 character"),
        ({"n_contrast": -1}, RULE), ({"n_contrast": 9999}, "contrast rows"), ({"order": "before"}, RULE),
        ({"with_questions": "yes"}, RULE), ({"choice": "hardest", "n_candidates": 1}, "choose at least as many"),
        ({"topics": []}, "unknown parameter 'mixing.topics': choose from choice"), (3, "valid dictionary"),
    ],
    "decoding": [
        ("beam", "choose one of greedy, paper"), (3, "valid dictionary"), ({"num_beams": 0}, RULE),
        ({"num_beams": 65}, RULE), ({"temperature": -1}, RULE), ({"temperature": 3}, RULE),
        ({"temperature": float("nan")}, "finite number"), ({"max_new_tokens": 0}, RULE),
        ({"temperature": 1, "num_beams": 2}, "do not go together"), ({"max_new_tokens": 9000}, RULE),
        ({"batch_size": 0}, RULE), ({"guard": 3}, RULE), ({"guard": "x" * 2001}, "at most 2000"), ({"guard": " "}, "only spaces"),
        ({"guard": "Be kind.\x1b[31m"}, "that nobody can see"),
        ({"sampling_seed": -1}, RULE),
        ({"beams": 2}, "did you mean 'num_beams'?"),
    ],
}  # fmt: skip
DRAFTING: dict[str, list[tuple[Any, str]]] = {
    "mode": [("live", "'replay' or 'ask'")],
    "n_questions": [(0, RULE), (40, "there are 36"), ("all", RULE)],
    "questions": [
        ("", "at least 1 character"),
        ("missing.csv", "missing.csv is not there"),
        ("ok.jsonl", "question"),
    ],
    "max_tokens": [(0, RULE)],
    "temperature": [(3, RULE), (float("nan"), "finite number")],
    "cap_usd": [(-1, RULE), (float("nan"), "finite number"), (float("inf"), "finite number")],
    "usd_per_million_in": [(-1, RULE), (float("nan"), "finite number")],
    "reviews": [
        ("a.json", "valid list"),
        (["missing.json"], "missing.json"),
        (["nested.json"], "nested.json"),
        (["ok.jsonl"], "ok.jsonl is not of the form 'safetune review 1'"),
        (["texts.json"], "texts.json is not of the form 'safetune review 1'"),
        (["a\x00b"], "a character of number 0"),
    ],
    "base_url": [("", "at least 1 character"), ("ftp://host", "base_url should be an address such as")],
    "model": [("", "at least 1 character")],
    "seeds": [([0], "has no parameter 'seeds'")],
}
SCORER: dict[str, list[tuple[Any, str]]] = {
    "n_train": [(7, RULE), (True, RULE)],
    "n_test": [(0, RULE), (1.5, RULE)],
    "epochs": [(2, "has no parameter 'epochs'")],
    "seed": [(-1, RULE)],
    "preset": [("huge", RULE)],
}


def of_parameters() -> Iterator[Case]:
    """Every parameter of every kind of notebook."""
    for notebook, schema in (("01", VALUES), ("09", DRAFTING), ("11", SCORER)):
        for name, values in schema.items():
            for value, needed in values:
                words = ["run", notebook, "-p", name, value if isinstance(value, str) else json.dumps(value)]
                yield Case(words if name == "preset" or notebook != "01" else [*words, *SMOKE], needed)
    ask = ["run", "09", "-p", "mode", "ask", "-p", "base_url"]
    yield Case([*ask, "http://127.0.0.1:9/v1"], "the server at http://127.0.0.1:9/v1 cannot be reached")
    yield Case([*ask, "https://nowhere.invalid/v1"], "there is no key for nowhere.invalid", NO_KEY)
    yield Case(
        [*ask, "http://127.0.0.1:9/v1", "-p", "usd_per_million_in", "9999999"], "above the cap of 1 USD"
    )
    for words, needed in {
        ("-p", "safety_amout", "[0]"): "did you mean 'safety_amounts'",
        ("-p", "seeds", "4" * 5000): "cannot be taken (a number of 5000 digits): write it anew",
        ("-p", "seeds", "[" * 150 + "]" * 150): "more than 100 levels",
        ("-p", "recipe", '{"epochs": 1, "epochs": 2}'): "the key 'epochs' twice",
        ("-p", "seeds", "[1e999]"): "too long or too large",
        ("-p", "seeds"): "has no value: write -p NAME VALUE",
        ("-p", "=3"): "has no name: write -p NAME VALUE",
        ("-p", "seeds", "[0]", "-p", "seeds", "[1]"): "given twice",
        ("--preset", "smoke", "-p", "preset", "pocket"): "given twice",
        ("-p", f"se{ESCAPE}eds", "[0]"): "has no parameter 'se\ufffd[31meds'",
        ("-p", "data", "SAFETUNE"): "a folder that exists",
    }.items():
        yield Case(["run", "01", *words], needed)
    yield Case(["run", "01", *SMOKE, "-p", "instruments", '["refusal-rules", "moderation"]'],
               "there is no key for api.openai.com", NO_KEY)  # fmt: skip
    yield Case(["run", "02", *SMOKE, "-p", "instruments", '["refusal-rules", "judge-harm"]'],
               "a study asks no server, so a judge in it replays recorded replies", judged=True)  # fmt: skip
    yield Case(["run", "01", *SMOKE, "-p", "instruments", '["refusal-rules", "quality-reward"]'],
               "reward-model-deberta-v3-large-v2", OFFLINE)  # fmt: skip


def of_models() -> Iterator[Case]:
    """Folders of base models and of adapters, at the entrances that take one."""
    bases = {
        "ok.jsonl": "is a file: give the folder that holds the whole model",
        "./nowhere": "no Hugging Face id: check the name of the model",
        "no such/model": "no Hugging Face id: check the name of the model",
        "a/b/c": "no Hugging Face id: check the name of the model",
        "nothing": "holds no model (it has no config.json): give the folder that save_pretrained wrote",
        "m/configless": "holds no model (it has no config.json)",
        "m/bert": "is of type 'bert', which does not write from left to right",
        "m/t5": "is of type 't5', which does not write from left to right",
        "m/unknown": "is of type 'dreamt_up', which does not write",
        "m/coded": "comes with code of its own, which is not run here",
        "m/gptq": "is stored in GPTQ, which is not trained here: give the model that it was made from",
        "m/untyped": "names no model_type: copy or save the model again",
        "m/listed": "config.json holds no object of settings: copy or save the model again",
        "m/cut_config": "config.json, line 1, is not JSON that can be read",
        "m/nested_config": "config.json is not JSON that can be read (lists or objects",
        "m/adapted": "holds an adapter (adapter_config.json): give the base model that it was trained on",
        "m/cut_weights": "could not be loaded (",
        "m/empty_weights": "could not be loaded (",
        "m/weightless": "holds no *.safetensors file: convert the model with save_pretrained first",
        "m/shardless": "(there is no model-2.safetensors): copy or save it again",
        "m/half_tokenizer": "cannot be read (tokenizer.json is not JSON",
        "m/voiceless": "the tokenizer of base model 'm/voiceless' cannot be read (there is none)",
    }
    commands = (
        lambda base: ["finetune", "--base", base, *NEW],
        lambda base: ["generate", "--input", "ok.jsonl", *OUT, "--base", base],
        lambda base: ["estimate", *SMOKE, "--base", base],
        lambda base: ["run", "01", *SMOKE, "-p", "base_model", base],
        lambda base: ["capability", "--task", "four_choice", "--base", base],
    )
    for number, (base, needed) in enumerate(bases.items()):
        for step in (0, 1):
            yield Case(commands[(number + step) % len(commands)](base), needed)
    words = ["generate", "--input", "ok.jsonl", *OUT, "--adapter", "org/none@v1"]
    yield Case(words, "adapter 'org/none@v1' is not on this machine, and the hub cannot be reached", OFFLINE)
    yield Case(
        ["generate", "--input", "ok.jsonl", *OUT, "--base", "no-one/nothing"], "no-one/nothing", OFFLINE
    )
    yield Case(
        ["finetune", "--base", "no-one/nothing", *NEW],
        "model 'no-one/nothing' is not on this machine, and the hub cannot be reached",
        OFFLINE,
    )
    adapters = {
        "nowhere": "there is no folder nowhere: give the folder of an adapter",
        "ok.jsonl": "is a file, and an adapter is a folder with adapter_config.json: give its folder",
        "nothing": "nothing holds no adapter (adapter_config.json): give the folder of one",
        "many": "holds adapters in first, and none itself: give one of these folders",
        "m/whole": "holds a whole model and no adapter: give it as the base model",
        "headless": "lacks adapter_config.json, without which its weights say nothing",
        "weightless": "has no adapter_model.safetensors: save the adapter with PEFT's save_pretrained",
        "pickled": "but adapter_model.bin, which may run code",
        "nested": "adapter_config.json is not JSON that can be read (lists or objects",
        "prompts": "is of kind PROMPT_TUNING, which puts learned tokens before",
        "classes": "was trained for SEQ_CLS, and here models write",
        "activated": "is an activated LoRA, which begins to work at certain words",
        "cut": "adapter_model.safetensors is not whole (",
    }
    for number, (adapter, needed) in enumerate(adapters.items()):
        words = (
            ["generate", "--input", "ok.jsonl", *OUT]
            if number % 2
            else ["capability", "--task", "four_choice"]
        )
        yield Case([*words, "--adapter", adapter], needed)


def of_notebooks() -> Iterator[Case]:
    """Notebooks, executed ones and results."""
    for name, needed in {
        "77": "choose from 01_safety_amount",
        "0": "notebook '0' fits several: choose from",
        "": "fits several: choose from",
        "ok.jsonl": "is not there: give its path (*.ipynb), or a chapter's number",
        "missing.ipynb": "is not there: choose from",
        "nested.ipynb": "nested.ipynb is not JSON that can be read (lists or objects",
        "empty.ipynb": "empty.ipynb, line 1, is not JSON that can be read",
        "object.ipynb": "object.ipynb is no notebook (nbformat: Field required): give a notebook as Jupyter",
        "cells.ipynb": "cells.ipynb is no notebook (cells: Input should be a valid list)",
        "cell.ipynb": "cell.ipynb is no notebook (cells.0.code.metadata: Field required)",
        "kind.ipynb": "kind.ipynb is no notebook (cells.0: Input tag 'song'",
        "later.ipynb": "later.ipynb is no notebook (nbformat: Input should be 4)",
        "number.ipynb": "number.ipynb does not say what its parameters are",
        "other.ipynb": "other.ipynb does not say what its parameters are",
        "r.ipynb": "has no parameters that can be read (its language is r): give a notebook for Python",
        "call.ipynb": "the default of 'seeds' is list(range(3)), which is not a plain value",
        "syntax.ipynb": "its parameters cell is not Python (",
        "code.ipynb": "code.ipynb, code cell 1 is not Python (",
    }.items():
        yield Case(["run", name], needed)
    yield Case(["run", "list.ipynb", "--help-notebook"], "list.ipynb does not say what its parameters are")
    yield Case(["run", "n.ipynb", "--output", "n.ipynb"], "n.ipynb")
    yield Case(
        ["run", "01", "--output", "o.txt"], "o.txt is of no form that is written here: let it end in .ipynb"
    )
    yield Case(["run", "01", *SMOKE, "--output", "nothing"], "nothing is a folder: name a file in it")
    yield Case(["run", "01", *SMOKE, "--output", "/proc/o.ipynb"], "/proc: ")
    for name, needed in {
        "nested.json": "nested.json is not JSON that can be read (lists or objects",
        "cut.json": "cut.json, line 1, is not JSON that can be read",
        "run.json": "run.json is no published run",
        "bare.json": "bare.json is no published run",
        "texts.json": "texts.json is no published run",
        "value.json": "value.json",
        "apart.json": "nothing to compare: one run has 99_mine, the other",
        "nested.ipynb": "nested.ipynb is not JSON that can be read (lists or objects",
        "nothing": "nothing holds no executed notebook (*.ipynb): name the folder",
        "pockett": "did you mean 'pocket'?",
        "missing.json": "no executed notebook and no published run",
        "missing.ipynb": "no executed notebook and no published run",
        "": "no executed notebook",
    }.items():
        yield Case(["compare", name, "pocket"], needed)
    yield Case(
        ["compare", "pocket", "pocket", "--output", "o.txt"], "o.txt is of no form that is written here"
    )
    yield Case(
        ["compare", "pocket", "pocket", "--output", "nothing"], "nothing is a folder: name a file in it"
    )
    for words, needed in {
        ("book", "--preset", "vast"): "choose one of smoke, classroom, pocket",
        ("book", "-p", "no_such_name", "1"): "has no parameter 'no_such_name'",
        ("book", *SMOKE, "-p", "recipe", '{"epochs": 0}'): RULE,
        ("book", *SMOKE, "-p", "safety_amounts", "[9000]"): "safety rows",
        ("book", *SMOKE, "-p", "data", "no/such/folder"): "a folder that exists",
        ("book", "--executed", "executed", "--preset", "smoke"): "takes notebooks as they are",
        ("book", "--executed", "no-such-folder"): "no executed copy of 01_safety_amount.ipynb",
        ("book", *SMOKE, "--output", "ok.jsonl"): "ok.jsonl: File exists: give another --output",
        ("book", *SMOKE, "--output", "book"): "is no part of a built book, and would be emptied",
        ("publish", "../up"): "'../up' cannot name a published run",
        (
            "publish",
            "Up",
        ): "'Up' cannot name a published run: use at most 60 small letters, digits and hyphens",
        ("publish", ""): "'' cannot name a published run",
        ("publish", f"a{ESCAPE}"): "cannot name a published run",
        ("publish", "mine\n"): "cannot name a published run",
        ("publish", "mine", "--preset", "vast"): "choose one of smoke, classroom, pocket",
    }.items():
        yield Case(list(words), needed)


def of_flags() -> Iterator[Case]:
    """Flags of the commands, and outputs."""
    generate = ["generate", "--input", "ok.jsonl", *OUT]
    score = ["score", "--input", "ok.jsonl", *OUT]
    judge = [*score, "--scorer", "judge-harm"]
    for words, needed in (
        (["no-such-command"], "No such command 'no-such-command': see `safetune --help`"),
        (["data", "lisst"], "No such command 'lisst'"),
        (["--loud"], "No such option: --loud"),
        (["data", "list", "--quiet"], "--quiet stands before the command"),
        (["--quiet", "--verbose", "instruments"], "leave one out"),
        (["--tensorboard", "ok.jsonl", "instruments"], "set --tensorboard to a folder"),
        (["compare"], "has no executed chapter: run `safetune book` first"),
        (["compare", "--preset", "vast"], "has no executed chapter of preset vast"),
        (["run", "01", "--config", "missing.yml"], "missing.yml"),
        (["run", "01", "--config", "cut.json"], "cut.json, line 1, is no YAML that can be read"),
        (["run", "01", "--config", "twice.yml"], "twice.yml, line 2, is no YAML that can be read ('n_general' twice)"),
        (["run", "01", "--config", "loop.yml"], "write the part out where it is meant"),
        (["run", "01", "--config", "tag.yml"], "a tag (!): write the value alone"),
        (["run", "01", "--config", "tab.yml"], "tab.yml, line 2, is no YAML"),
        (["run", "01", "--config", "digits.yml"], "n_general"),
        (["run", "01", "--config", "date.yml"], "seeds"),
        (["run", "01", "--config", "/dev/zero"], "/dev/zero is no file"),
        (["run", "01", *SMOKE, "--save-config", "o.csv"], "o.csv is no name of a YAML file: let it end in .yml"),
        (["run", "/nowhere/01_safety_amount.ipynb", *SMOKE], "is not there: give its path (*.ipynb)"),
        (["run", "nowhere/01", *SMOKE], "is not there: give its path (*.ipynb)"),
        (["run", "01.html", *SMOKE], "is not there: give its path (*.ipynb)"),
        (["compare", "/no/such/pocket", "pocket"], "'/no/such/pocket' is no folder of executed notebooks"),
        (["compare", "preset.json"], "nothing to compare"),
        (["run", "01", "-p", "seeds", *SMOKE], "parameter 'seeds' has no value: write -p NAME VALUE"),
        ([*generate, "--adapter", "rank"], "names the rank (r) '8': copy the adapter again"),
        ([*generate, "--adapter", "layers"], "names the layers (target_modules) 3: copy the adapter again"),
        (["score", "--input", "ok.jsonl", "--output", "lost.csv"], "lost.csv leads to a folder that is not there"),
        (["publish", "a" * 61], "at most 60 small letters"),
        (["score", "--input", "~nobody_here/x.jsonl", *OUT, "--scorer", "refusal-rules"], "begins with ~ and a name that"),
        (["estimate", *SMOKE, "--base", "~nobody_here/x"], "begins with ~ and a name that"),
        (["generate", "--input", "ok.jsonl", *OUT, "--adapter", ""], "--adapter is given an empty text"),
        (["generate", "--input", "ok.jsonl", *OUT, "--server", ""], "--server is given an empty text"),
        (["estimate", "--preset", ""], "--preset is given an empty text"),
        (["score", "--input", "ok.jsonl", *OUT, "--columns", "output=response,output=prompt"], "names a field twice"),
        (["lab", "o.ipynb.gz"], "o.ipynb.gz is of no form"),
        (["lesson", "--output", "o.html.gz"], "o.html.gz is of no form"),
        (["push", "pushed", "org/mine", "--card-only"], "pushed holds no record of an adapter"),
        (["push", "pushed", "org/mine", "--scores", "a\n# b=ok.jsonl"], "write on one line what was measured"),
        (["push", "pushed", "org/mine", "--scores", "a=ok.jsonl"], "ok.jsonl holds no scores"),
        (["run", "01", *SMOKE, "--save-config", "nothing"], "nothing"),
        (["push", "nothing", "mine"], "'mine' is no name on the hub: write org/name"),
        (["push", "nothing", "org/mine"], "give a folder that `safetune finetune` wrote"),
        (["push", "nothing", "org/mine", "--scores", "a"], "--scores takes WHAT=FILE"),
        (["generate", "--input", "ok.jsonl", *OUT, "--server", "http://127.0.0.1:9/v1"], "needs --served-model"),
        (["score", *OUT], "Missing option '--input': see `safetune score --help`"),
        (["score", "--input", "ok.jsonl", "--outputt", "o.csv"], "No such option: --outputt"),
        (["score", "--input", "ok.jsonl"], "one of two is needed: --output for the scores of all rows"),
        ([*score, "--explain", "1"], "one of two is needed"),
        (["score", "--input", "ok.jsonl", "--explain", "0"], "has no row 0: --explain takes 1 to 1"),
        (["score", "--input", "ok.jsonl", "--explain", "9"], "has no row 9: --explain takes 1 to 1"),
        (["score", "--input", "ok.jsonl", "--explain", "one"], "Invalid value for '--explain'"),
        ([*score, "--scorer", "nope"], "unknown instrument 'nope': choose from refusal"),
        ([*score, "--scorer", "refusal-rule"], "did you mean 'refusal-rules'?"),
        ([*score, "--scorer", ""], "--scorer is given an empty text"),
        ([*score, "--scorer", "refusal-rules", "--model", "m"], "asks no server: leave model away"),
        ([*score, "--scorer", "moderation", "--cap-usd", "1"], "takes no such option: leave cap_usd away"),
        ([*judge, "--model", "m"], "a judge needs both base_url and model"),
        ([*judge, "--cap-usd", "1"], "a judge needs both base_url and model"),
        ([*judge, "--base-url", "host", "--model", "m"], "base_url should be an address such as"),
        ([*judge, "--base-url", "http://h/v1?key=1", "--model", "m"], "base_url should be an address such as"),
        ([*judge, "--base-url", "http://127.0.0.1:9/v1", "--model", ""], "--model is given an empty text"),
        ([*judge, "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--cap-usd", "-1"], "cap_usd is -1"),
        ([*judge, "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--cap-usd", "nan"], "cap_usd is nan"),
        ([*judge, "--base-url", "http://127.0.0.1:99999/v1", "--model", "m"], "base_url should be an address"),
        (judge, "requests are not among the recorded replies in"),
        (["score", "--input", "ok.jsonl", "--output", "ok.jsonl"], "ok.jsonl is also what is read"),
        (["score", "--input", "ok.jsonl", "--output", "./nothing/../ok.jsonl"], "is also what is read"),
        (["score", "--input", "ok.jsonl", "--output", "o.doc"], "o.doc is of no form that is written here"),
        (["score", "--input", "ok.jsonl", "--output", "nothing"], "nothing is a folder: name a file in it"),
        (["score", "--input", "ok.jsonl", "--output", "ok.jsonl/o.csv"], "ok.jsonl: File exists: a file has"),
        (["score", "--input", "ok.jsonl", "--output", "/proc/o.csv"], "/proc: "),
        (["score", "--input", "ok.jsonl", "--output", ""], "--output is given an empty text"),
        (["score", "--input", "ok.jsonl", "--output", "y" * 300 + ".csv"], "File name too long"),
        ([*generate, "--num-beams", "0"], "greater than or equal to 1"),
        ([*generate, "--num-beams", "two"], "Invalid value for '--num-beams'"),
        ([*generate, "--max-new-tokens", "0"], "greater than or equal to 1"),
        ([*generate, "--batch-size", "0"], "greater than or equal to 1"),
        ([*generate, "--temperature", "-1"], "greater than or equal to 0"),
        ([*generate, "--temperature", "nan"], "finite number"),
        ([*generate, "--temperature", "1", "--num-beams", "2"], "do not go together"),
        ([*generate, "--sampling-seed", "-1"], "greater than or equal to 0"),
        ([*generate, "--decoding", "beam"], "choose one of greedy, paper"),
        ([*generate, "--template", "vicuna"], "Invalid value for '--template'"),
        (["generate", "--input", "ok.jsonl", "--output", "ok.jsonl"], "ok.jsonl is also what is read"),
        (["generate", "--input", "ok.jsonl", "--output", "o.doc"], "o.doc is of no form that is written here"),
        (["finetune", "--amount", "-3", *NEW], "greater than or equal to 0"),
        (["finetune", "--amount", "few", *NEW], "Invalid value for '--amount'"),
        (["finetune", "--amount", "9000", *NEW], "safety rows"),
        (["finetune", "--format", "questions", *NEW], "'instruction', 'question' or 'mixed'"),
        (["finetune", "--seed", "-1", *NEW], "greater than or equal to 0"),
        (["finetune", "--preset", "vast", "--output", "new"], "choose one of smoke"),
        (["finetune", "--template", "vicuna", *NEW], "Invalid value for '--template'"),
        (["finetune", "--output", "nothing", *SMOKE], "nothing is there already: choose another --output"),
        (["finetune", "--output", "ok.jsonl/new", *SMOKE], "ok.jsonl: File exists"),
        (["finetune", "--output", "/proc/new", *SMOKE], "/proc: "),
        (["finetune", "--data", "nowhere", *NEW], "a folder that exists"),
        (["capability", "--task", "boolqq"], "unknown benchmark 'boolqq': choose from four_choice"),
        (["capability", "--task", "four_choice", "--limit", "0"], "limit is 0: give the number of questions"),
        (["capability"], "Missing option '--task'"),
        (["estimate", "--hardware", "A100-4"], "did you mean 'A100-40'"),
        (["estimate", "--hardware", ""], "--hardware is given an empty text"),
        (["estimate", *SMOKE, "--prompt-set", "nope"], "has no prompt set 'nope': choose from"),
        (["estimate", "-p", "safety_amout", "[0]"], "unknown parameter 'safety_amout': did you mean"),
        (["estimate", "-p", "data", "nowhere"], "a folder"),
        (["estimate", *SMOKE, "-p", "n_general", "100000"], "general rows"),
        (["estimate", *SMOKE, "-p", "general_data", "ok.jsonl"], "give data that has general rows"),
        (["train-instrument", "harm"], "there is no instrument 'harm' to train: choose refusal or harmfulness"),
        (["data", "fetch", "nothing"], "unknown outside set 'nothing'"),
        (["data", "fetch"], "Missing argument"),
        (["data", "overlap", "nowhere"], "a folder that exists"),
        (["preference", "tally", "--first", "ok.jsonl", "--second", "ok.jsonl", "x.json"], "'ok' and 'ok'"),
        (["preference", "tally", "--first", "ok.jsonl", "--second", "ok2.jsonl", "--output", "o.txt", "x.json"], "o.txt"),
        (["book", "--student", "--instructor"], "are two books: build one, then the other"),
        (["lesson", "0"], "there is no lesson 0: choose 1 to 3"),
        (["lesson", "two"], "should be a valid integer"),
        (["lesson", "--preset", "clasroom"], "preset is 'clasroom': choose one of"),
        (["lesson", "--output", "o.txt"], "o.txt is of no"),
        (["lab", "o.txt"], "o.txt is of no"),
        (["lab", "o.ipynb", "--exercise", "share_refuse"], "did you mean 'share_refused'"),
        (["preference", "tally", "--first", "ok.jsonl", "--second", "ok2.jsonl", "x.json"], "ok2.jsonl"),
        (["preference", "make", "--first", "ok.jsonl", "--second", "ok.jsonl", "--output", "o.html"], "'ok' and 'ok'"),
        (["preference", "make", "--first", "ok.jsonl", "--second", "ok2.jsonl", "--output", "o.txt"], "o.txt is of no"),
        (["preference", "make", "--first", "ok.jsonl", "--second", "ok2.jsonl", "--output", "o.html", "--seed", "x"],
         "Invalid value for '--seed'"),
    ):  # fmt: skip
        yield Case(words, needed)


def of_surroundings() -> Iterator[Case]:
    """Environment variables."""
    run = ["run", "01", *SMOKE]
    train = ["finetune", *NEW]
    score = ["score", "--input", "ok.jsonl", *OUT, "--scorer"]
    for words, name, value, needed in (
        (["data", "list"], "SAFETUNE_DATA", "nowhere", "no register.yml in nowhere: set SAFETUNE_DATA"),
        (run, "SAFETUNE_DATA", "nothing", "no register.yml in nothing"),
        ([*score, "refusal"], "SAFETUNE_DATA", "ok.jsonl", "ok.jsonl"),
        (["instruments"], "SAFETUNE_LOG", "loud", "SAFETUNE_LOG is 'loud': set it to quiet, normal, verbose"),
        (["compare", "a"], "SAFETUNE_DATA", "nowhere", "no register.yml in nowhere"),
        (
            ["data", "fetch", "XSTest"],
            "SAFETUNE_DATA",
            "strange",
            "register.yml is no register of data sets: set SAFETUNE_DATA",
        ),
        (
            ["data", "fetch", "XSTest"],
            "SAFETUNE_DATA",
            "odd",
            "register.yml is no register of data sets: set SAFETUNE_DATA",
        ),
        (
            ["data", "fetch", "XSTest"],
            "SAFETUNE_DATA",
            "broken",
            "register.yml, line 2, is no YAML that can be read",
        ),
        (["instruments"], "WORLD_SIZE", "abc", "WORLD_SIZE is 'abc', which a launcher sets"),
        (run, "SAFETUNE_AT_ONCE", "9" * 5000, "give a whole number from 1"),
        (train, "SAFETUNE_STORE", "ok.jsonl", "set SAFETUNE_STORE to a folder that can be written"),
        (train, "SAFETUNE_STORE", "/proc/store", "set SAFETUNE_STORE to a folder that can be written"),
        (train, "SAFETUNE_AT_ONCE", "two", "SAFETUNE_AT_ONCE is 'two': give a whole number from 1"),
        (run, "SAFETUNE_AT_ONCE", "0", "SAFETUNE_AT_ONCE is '0': give a whole number from 1"),
        (run, "SAFETUNE_PROCESSES", "-1", "SAFETUNE_PROCESSES is '-1': give a whole number from 1"),
        (train, "SAFETUNE_PROCESSES", "1.5", "SAFETUNE_PROCESSES is '1.5': give a whole number from 1"),
        (["data", "fetch", "XSTest"], "SAFETUNE_MIRROR", "nothing", "is not on the mirror nothing"),
        (["data", "fetch", "XSTest"], "SAFETUNE_MIRROR", "nowhere", "nowhere"),
        (["finetune", "--data", "paper", *NEW], "SAFETUNE_MIRROR", "nothing", "is not on the mirror nothing"),
        ([*score, "moderation"], "OPENAI_API_KEY", "", "there is no key for api.openai.com"),
        ([*score, "moderation"], "OPENAI_API_KEY", "sk-a b", "has a blank or a character outside ASCII"),
    ):
        environment = {name: value} | ({"OPEN_AI_KEY": ""} if name == "OPENAI_API_KEY" else {})
        yield Case(words, needed, environment)


CASES = [*of_rows(), *of_parameters(), *of_models(), *of_notebooks(), *of_flags(), *of_surroundings()]


# What is asked for most, and must answer at once.
ANSWERED = [
    ["--help"], ["--version"], ["run", "--help"], ["finetune", "--help"], ["data", "list"], ["instruments"],
    ["compare", "pocket", "pocket"], ["run", "01", "--help-notebook"],
]  # fmt: skip


# --- running them ---


class Outcome(NamedTuple):
    """What came of a command.

    Attributes:
        status: the exit status; ``None`` where it ran too long.
        said: standard error.
        seconds: of wall time.
        imported: those of :data:`SLOW` that it imported.
    """

    status: int | None
    said: str
    seconds: float
    imported: list[str]

    @property
    def kind(self) -> str:
        """``refused`` in one clean line, or ``other line``, ``unforeseen``, ``accepted`` or ``too long``."""
        if self.status is None:
            return "too long"
        if "this was not foreseen" in self.said or "Traceback" in self.said:
            return "unforeseen"
        if self.status == 0:
            return "accepted"
        lines = [line for line in self.said.splitlines() if line.strip()]
        clean = len(lines) == 1 and lines[0].startswith("safetune: ") and lines[0].isprintable()
        return "refused" if clean and self.status == 2 else "other line"


class _TooLong(BaseException):
    pass


def run(case: Case, *, most_seconds: int = 60) -> Outcome:
    """Run a command in this process and the current folder."""
    from safetune_utils.cli import main

    def stop(*_: object) -> None:
        raise _TooLong

    before, arguments, there = dict(os.environ), sys.argv, set(sys.modules)
    os.environ.update(case.environment)
    for name in [name for name in ("OPENAI_API_KEY", "OPEN_AI_KEY") if os.environ.get(name) == ""]:
        del os.environ[name]
    sys.argv = ["safetune", *case.words]
    said, status = io.StringIO(), None
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(most_seconds)
    clock = time.perf_counter()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            getattr(main, "main", main)()  # in the version before the rooms it is the function itself
    except SystemExit as stopped:
        status = stopped.code if isinstance(stopped.code, int) else 0
    except _TooLong:
        status = None
    except Exception:  # what Python would print of it
        status = 1
        said.write(traceback.format_exc())
    finally:
        signal.alarm(0)
        seconds = time.perf_counter() - clock
        sys.argv = arguments
        os.environ.clear()
        os.environ.update(before)
    imported = [name for name in SLOW if name in sys.modules and name not in there]
    return Outcome(status, said.getvalue(), seconds, imported)


def main() -> None:
    """Run all commands in the folder that is the first argument, and print the outcomes as JSON."""
    folder = Path(sys.argv[1])
    lay_out(folder)
    os.chdir(folder)
    answered = [run(Case(words, "")) for words in ANSWERED]
    quick = [run(case) for case in CASES if not case.judged]
    judged = [run(case) for case in CASES if case.judged]
    outcomes = [(judged if case.judged else quick).pop(0) for case in CASES]
    print(json.dumps([outcomes, answered]))


if __name__ == "__main__":
    main()
