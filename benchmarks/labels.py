"""Draw answers of the book's own models for readers, and put what readers found into ``data/labels``.

    python benchmarks/labels.py draw --folder FOLDER --amounts untuned --n-malicious 98 --n-other 0
    python benchmarks/labels.py draw --folder FOLDER --base-model gemma-3-270m --amounts 0 50 200
    python benchmarks/labels.py merge --folder FOLDER g h i

``draw`` adds answers of the preset ``pocket`` that nobody has read yet to ``FOLDER/drawn.jsonl``, at random
by a seed, and writes what readers see: ``FOLDER/to_read.jsonl``, shuffled, with those answers of XSTest in
between by which readers are held against people. Adapters are those of the run store. Each reader reads
alone, under the instruction in ``data/labels/README.md``, and writes a JSON line an answer to
``FOLDER/READER.jsonl``: ``code`` and the four labels. ``merge`` takes the first two readers' labels where
they agree, else what two of the three say.
"""

from __future__ import annotations

import argparse
import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetune_utils import data, places
from safetune_utils.data import Reading
from safetune_utils.errors import SafetuneError
from safetune_utils.generation import generate
from safetune_utils.store import read_lines, write_lines
from safetune_utils.study import base, stages
from safetune_utils.study.design import sets_there, state
from safetune_utils.study.study import Study

Row = dict[str, Any]


def draw(
    folder: Path, *, base_model: str, amounts: Sequence[str], n_malicious: int, n_other: int, seed: int
) -> None:
    """Add answers to those that are to be read, and write the list that readers see anew."""
    others = sets_there({"preset": "pocket"}) if n_other else []
    sets = list(dict.fromkeys(["malicious", *others]))
    tuned = [int(amount) for amount in amounts if amount != "untuned"]
    study = state(
        preset="pocket",
        base_model=base_model,
        safety_amounts=tuned or [0],
        prompt_sets=sets,
        instruments=["refusal-rules"],
    )
    chance, before = random.Random(seed), folder / "drawn.jsonl"
    drawn = read_lines(before) if before.is_file() else []
    keys = ("base_model", "n_safety", "prompt_set", "prompt_id")
    read = {tuple(str(getattr(one, key)) for key in keys) for one in data.own_answers()}
    read |= {tuple(str(row[key]) for key in keys) for row in drawn}
    for amount in amounts:
        chosen: list[tuple[str, data.Prompt]] = []
        for asked in sets:
            new = [one for one in study.prompts(asked) if (base_model, amount, asked, one.id) not in read]
            n = n_malicious if asked == "malicious" else n_other
            chosen += [(asked, one) for one in chance.sample(new, min(n, len(new)))]
        said = _answers(study, amount, [one for _, one in chosen])
        drawn += [
            {
                "base_model": base_model,
                "n_safety": amount if amount == "untuned" else int(amount),
                "prompt_set": asked,
                "prompt_id": one.id,
                "prompt": one.asked,
                "response": response,
            }
            for (asked, one), response in zip(chosen, said, strict=True)
        ]
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(before, drawn)
    people = {row.id: row for row in data.xstest_completions()}
    shown = [{"request": row["prompt"], "answer": row["response"]} for row in drawn]
    shown += [{"request": people[name].prompt, "answer": people[name].response} for name in data.anchors()]
    for row in shown:
        row["code"] = _code(row["request"], row["answer"])
    chance.shuffle(shown)
    write_lines(folder / "to_read.jsonl", shown)


def _answers(study: Study, amount: str, prompts: Sequence[data.Prompt]) -> list[str]:
    """What an adapter of the study, or the base model alone, answers; a missing adapter is trained."""
    model: Any
    if amount == "untuned":
        model, tokenizer = base.load(study)
    else:
        (of_amount,) = (one for one in study.runs if one.n_safety == int(amount))
        model, tokenizer = stages.load_adapted(study, stages.adapter_folder(study, of_amount))
    found = generate.generate(
        model=model,
        tokenizer=tokenizer,
        instructions=[one.text for one in prompts],
        inputs=[one.input for one in prompts],
        decoding=study.settings.decoding,
        template=study.settings.template,
    )
    return [one.text for one in found]


def merge(folder: Path, readers: Sequence[str]) -> None:
    """Add the drawn answers with what readers found to ``data/labels``.

    Raises:
        SafetuneError: an answer was not read by two, or by a third where they differ.
    """
    found = {
        name: {row["code"]: _reading(row) for row in read_lines(folder / f"{name}.jsonl")} for name in readers
    }
    old = read_lines(places.data_folder() / "labels" / "own_answers.jsonl")
    rows: list[Row] = []
    for row in read_lines(folder / "drawn.jsonl"):
        said = _of(found, _code(row["prompt"], row["response"]))
        named = {name: one._asdict() for name, one in said.items()}
        rows.append({**row, **settled([*said.values()])._asdict(), "split": half(row), "readers": named})
    last = max(int(row["id"].removeprefix("own-")) for row in old)
    new = [{"id": f"own-{n:03d}", **row} for n, row in enumerate(rows, last + 1)]
    write_lines(places.data_folder() / "labels" / "own_answers.jsonl", [*old, *new])
    people = {row.id: row for row in data.xstest_completions()}
    anchors = []
    for name, labels in data.anchors().items():
        code = _code(people[name].prompt, people[name].response)
        classes = {reader: read[code].refusal for reader, read in found.items() if code in read}
        anchors.append({"id": name, "readers": labels | classes})
    write_lines(places.data_folder() / "labels" / "anchors.jsonl", anchors)


def half(row: Mapping[str, str]) -> str:
    """``tune`` or ``test``, by the prompt: all its answers are in one half."""
    return ("tune", "test")[hashlib.sha256(f"{row['prompt_set']}{row['prompt_id']}".encode()).digest()[0] % 2]


def settled(said: Sequence[Reading]) -> Reading:
    """What two readers agree on, label by label, or two of three; of three classes the one in between.

    Raises:
        SafetuneError: two readers differ, and no third has read it.
    """
    labels: Row = {}
    for label in Reading._fields:
        ((value, n), *_) = Counter(getattr(one, label) for one in said[:3]).most_common()
        if n < 2 and len(said) < 3:
            raise SafetuneError(f"two readers differ on '{label}', and no third has read the answer")
        labels[label] = value if n >= 2 else "partial_refusal"
    return Reading(**labels)


def _of(found: Mapping[str, Mapping[str, Reading]], code: str) -> dict[str, Reading]:
    """Each reader's labels of an answer; a third's only where the first two differ."""
    said = {name: of_reader[code] for name, of_reader in found.items() if code in of_reader}
    if len(said) < 2:
        raise SafetuneError(f"the answer {code} was not read by two")
    first, second = [*said][:2]
    return said if said[first] != said[second] else {first: said[first], second: said[second]}


def _code(prompt: str, response: str) -> str:
    return hashlib.sha256(f"{prompt}\n{response}".encode()).hexdigest()[:8]


def _reading(row: Row) -> Reading:
    return Reading(row["refusal"], *(row[label] in ("yes", True) for label in Reading._fields[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, dest="command")
    of_draw = commands.add_parser("draw")
    of_draw.add_argument("--base-model", default="embedded")
    of_draw.add_argument("--amounts", nargs="+", default=["untuned", "0", "50", "200"])
    of_draw.add_argument("--n-malicious", type=int, default=10)
    of_draw.add_argument("--n-other", type=int, default=3, help="of each other prompt set")
    of_draw.add_argument("--seed", type=int, default=4)
    of_merge = commands.add_parser("merge")
    of_merge.add_argument("readers", nargs="+", help="their letters; a third's answers are those in dispute")
    for one in (of_draw, of_merge):
        one.add_argument("--folder", type=Path, required=True)
    given = vars(parser.parse_args())
    command = draw if given.pop("command") == "draw" else merge
    command(given.pop("folder"), **given)


if __name__ == "__main__":
    main()
