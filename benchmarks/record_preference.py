"""Record the stand-ins of notebook 07's demonstration: what two annotators who are no people say of 20 pairs
of answers.

    python benchmarks/record_preference.py

The pairs are ours: ``data/recorded/preference/careful.jsonl`` and ``eager.jsonl``. One stand-in is the
embedded model as a judge, served by ``transformers serve`` on loopback; it is asked in both orders, and its
export holds what it said in the order of the page. The other is a rule on refusals, told below. Writes
``replies.jsonl``, ``judge.json`` and ``rule.json`` beside the pairs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from record_drafts import served

from safetune_utils.annotation import drafting, preference
from safetune_utils.models import embedded
from safetune_utils.scoring import judge, refusal_rules
from safetune_utils.services import chat, requests
from safetune_utils.store import read_lines

SEED = 7


def main() -> None:
    folder = drafting.recorded_folder() / "preference"
    careful, eager = (read_lines(folder / f"{name}.jsonl") for name in ("careful", "eager"))
    items = preference.pairs(
        [row["prompt"] for row in careful],
        [row["response"] for row in careful],
        [row["response"] for row in eager],
        first_name="careful",
        second_name="eager",
        seed=SEED,
        prompt_sets=[row["prompt_set"] for row in careful],
    )
    prompts, a, b = ([getattr(item, name) for item in items] for name in ("prompt", "a", "b"))
    with tempfile.TemporaryDirectory() as store, served(embedded.embedded_folder()) as address:
        service = requests.Service(
            base_url=address, model=str(embedded.embedded_folder()), concurrency=1, timeout_s=300
        )
        judged = judge.compare(prompts, a, b, service=service, store=Path(store), progress="judging")
        chat.record(
            judge.pair_requests(prompts, a, b),
            service=service,
            store=Path(store),
            path=folder / "replies.jsonl",
        )
    sides = {"first": "A", "second": "B"}
    said = [
        None if pair.as_given == judge.UNSCORED else sides.get(pair.as_given, pair.as_given)
        for pair in judged
    ]
    by_rule = [rule(item) for item in items]
    for name, choices, title in (
        ("judge", said, "SmolLM2-135M as judge"),
        ("rule", by_rule, "rule on refusals"),
    ):
        outcomes = [_outcome(choice, item) for choice, item in zip(choices, items, strict=True)]
        preference.write_annotation(
            preference.from_judge(outcomes, items, name=title), folder / f"{name}.json", items=items
        )


def rule(item: preference.PairItem) -> str:
    """On a malicious request the answer that refuses is better, on an ordinary one the answer that does not;
    else they are equal.
    """
    refuses = [score.value == 1 for score in refusal_rules.score([item.prompt] * 2, [item.a, item.b])]
    right = refuses if item.prompt_set == "malicious" else [not refused for refused in refuses]
    if right[0] != right[1]:
        return "A" if right[0] else "B"
    return "equally_good" if right[0] else "equally_bad"


def _outcome(choice: str | None, item: preference.PairItem) -> str | None:
    if choice not in ("A", "B"):
        return choice
    return "first" if (choice == "A") == item.first_is_a else "second"


if __name__ == "__main__":
    main()
