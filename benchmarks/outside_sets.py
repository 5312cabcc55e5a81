"""Count what the outside sets hold, and what the paper's training and test sets share.

    SAFETUNE_MIRROR=DIR python benchmarks/outside_sets.py

Writes ``data/results/outside_sets.json``, which the data pages print. Only counts and ids are written, no
text but topic names and, where a set names no topics, the first words of its rows that occur ten times or
more.
"""

from __future__ import annotations

import json

from safetune_utils import data, places
from safetune_utils.data import question_forms
from safetune_utils.errors import SafetuneError


def main() -> None:
    shapes = {}
    for entry in data.registered_sets().values():
        try:
            shape = data.outside_shape(entry)
        except SafetuneError as error:
            print(f"left out: {error}")
            continue
        topics = shape.topics
        if shape.topics_are == "first words":
            kept = {word: n for word, n in topics.items() if n >= 10}
            others = sum(topics.values()) - sum(kept.values())
            topics = kept | ({"other words": others} if others else {})
        shapes[entry.name] = shape._replace(topics=topics)._asdict()
    source = "paper" if data.is_at_hand("alpaca-20000") else "paper-sample"
    result = {
        "made_by": "benchmarks/outside_sets.py",
        "source": source,
        "rewriting_version": question_forms.VERSION,
        "question_forms": data.question_counts(data.safety_examples(source)),
        "opinion_forms": len(data.prompts(source, "opinions")),
        "overlaps": data.overlaps(source),
        "shapes": shapes,
    }
    path = places.data_folder() / "results" / "outside_sets.json"
    path.write_text(
        json.dumps(result, indent=None, separators=(",", ":"), ensure_ascii=False).replace('},"', '},\n"')
        + "\n",
        "utf-8",
    )
    print(f"{path}: {len(shapes)} sets, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
