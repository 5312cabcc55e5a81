"""How far the readers of the book's own answers agree, and every instrument at hand with them.

    SAFETUNE_MIRROR=DIR python benchmarks/own_answers.py

Writes ``data/results/own_answers.json``, which the page of the instruments prints; the corrected shares are
worked out from it. Only counts are written, no text.
"""

from __future__ import annotations

from safetune_utils import data, places
from safetune_utils.machine.files import write_json
from safetune_utils.scoring.own_answers import measure_own, own_said, own_shares, readers_agree


def main() -> None:
    answers = data.own_answers()
    said = own_said(answers)
    found = {
        "made_by": "benchmarks/own_answers.py",
        "n": len(answers),
        "readers": readers_agree(answers, anchors=data.anchors(), xstest=data.xstest_completions()),
        "shares": own_shares(answers, said),
        "instruments": measure_own(answers, said),
    }
    path = places.data_folder() / "results" / "own_answers.json"
    write_json(path, found)
    print(path.read_text("utf-8"))


if __name__ == "__main__":
    main()
