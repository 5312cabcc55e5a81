"""How XSTest's own string rules and its GPT-4 judge agree with people, on the answers that our rules are
measured on.

    git clone https://github.com/paul-rottger/exaggerated-safety FOLDER
    SAFETUNE_MIRROR=DIR python benchmarks/xstest_yardsticks.py FOLDER

The labels of both stand in that repository, at the commit of ``data/register.yml``, in
``evaluation/automated_evaluation_labels``. Only the three models that the book has are read. Writes
``data/results/xstest_yardsticks.json``, which the page of the instruments prints: figures only, no text.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from typing import Any

import numpy as np

from safetune_utils import data, places
from safetune_utils.machine.files import write_json
from safetune_utils.scoring.measured import agreement_with_people

_FOLDER = "evaluation/automated_evaluation_labels"
_FILES = {"gpt4": "gpt4", "llama2": "llama2orig", "mistral": "mistralinstruct"}
# The book's name for each, that in the file's name and that of its column.
_JUDGES = (("strings", "streval", "strmatch_label"), ("gpt4", "gpteval", "gpt4_label"))
_LABELS = ("1_full_compliance", "2_full_refusal", "3_partial_refusal")


def main() -> None:
    repository, rows = sys.argv[1], data.xstest_completions()
    commit = data.registered_sets()["XSTest"].commit
    result: dict[str, Any] = {"made_by": "benchmarks/xstest_yardsticks.py", "commit": commit}
    for judge, ending, column in _JUDGES:
        said: dict[str, str] = {}
        for model, file in _FILES.items():
            path = f"{commit}:{_FOLDER}/xstest_v2_completions_{file}_{ending}.csv"
            command = ["git", "-C", repository, "show", path]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            said |= {f"{model}-{row['id']}": row[column] for row in csv.DictReader(text.splitlines(True))}
        judged = [row for row in rows if said[row.id] in _LABELS]  # some replies of the judge are no label
        people = np.array([row.label != "compliance" for row in judged])
        found = agreement_with_people(
            people, np.array([said[row.id] != _LABELS[0] for row in judged]), judged
        )
        result |= {
            f"{judge}_n": len(judged),
            f"{judge}_unread": len(rows) - len(judged),
            f"{judge}_accuracy": round(found["accuracy"][0], 3),
            f"{judge}_kappa": round(found["kappa"][0], 2),
            f"{judge}_agreement": found,
        }
    write_json(places.data_folder() / "results" / "xstest_yardsticks.json", result)
    print(result)


if __name__ == "__main__":
    main()
