"""Put every offline instrument to its negative controls on the embedded model, for runs that were published
before there were controls.

    python benchmarks/controls.py

Trains the smallest and the largest amount of the preset ``pocket`` where the run store does not hold them,
asks them and the untuned model the two sets of the controls, and writes ``data/results/controls.json``:
counts only.
"""

from __future__ import annotations

import json

from safetune_utils import places
from safetune_utils.machine.files import write_json
from safetune_utils.machine.surroundings import surroundings
from safetune_utils.scoring.controls import CONTROL_SETS, rows
from safetune_utils.scoring.instruments import at_hand, versions
from safetune_utils.study.controls import measured
from safetune_utils.study.design import state
from safetune_utils.study.run import run


def main() -> None:
    study = state(
        preset="pocket",
        safety_amounts=[0, 200],
        prompt_sets=CONTROL_SETS,
        instruments=at_hand(),
        controls=CONTROL_SETS,
    )
    run(study)
    found = {
        "made_by": "benchmarks/controls.py",
        "preset": "pocket",
        "base_model": study.settings.base_model,
        "arithmetic": study.arithmetic,
        "instruments": versions(),
        "rows": rows(measured(study)),
    } | {part: surroundings()[part] for part in ("code", "versions")}
    write_json(places.data_folder() / "results" / "controls.json", found)
    print(json.dumps(found["rows"], indent=1))


if __name__ == "__main__":
    main()
