"""What came of a study, as tables: responses with their scores, losses, and how each adapter came to be."""

from __future__ import annotations

import csv
from typing import Any

import pandas as pd

from safetune_utils import data, store
from safetune_utils.models.identity import title
from safetune_utils.study.stages import adapter_folder, responses_folder, scores_folder
from safetune_utils.study.study import Run, Study


def responses_of(study: Study) -> pd.DataFrame:
    """Every response of a study that was run, one row each; scores that are missing are made.

    Returns:
        ``data, base_model, n_general, n_safety, share_safety`` (0 to 1), ``safety_format, seed`` (the run);
        ``prompt_set, prompt_id, topic, kind, pair, prompt`` (the request); ``response, n_tokens, stopped``
        (the response); ``label, reason, refused`` (what the first instrument says; ``refused`` is missing
        where the response is unscored); and one column for each instrument, with its value.
    """
    for run in study.runs:
        store.note_use(adapter_folder(study, run, make=False))
    return pd.DataFrame(
        [row for run in study.runs for name in study.prompt_sets for row in _rows(study, run, name)]
    )


def read_as(study: Study, *, instrument: str) -> pd.DataFrame:
    """What an instrument says of responses when it reads each under the request's other form, as the study's
    ``read_as`` pairs them; scores that are missing are made.

    It tells what the instrument makes of a response from what it makes of the request.

    Returns:
        ``prompt_set, read_under`` (the set with the other form), ``prompt_id, n_safety, seed,
        read_as_value``, one row a response whose request is in both sets.
    """
    rows = []
    for prompt_set, other in study.read_as.items():
        for run in study.runs:
            about = {
                "prompt_set": prompt_set,
                "read_under": other,
                "n_safety": run.n_safety,
                "seed": run.seed,
            }
            folder = scores_folder(study, run, prompt_set, instrument, asked_as=other)
            rows += [
                about | {"prompt_id": score["id"], "read_as_value": score.get("value")}
                for score in store.rows_of(folder / "scores.jsonl")
            ]
    columns = ["prompt_set", "read_under", "prompt_id", "n_safety", "seed", "read_as_value"]
    return pd.DataFrame(rows, columns=columns)


def losses(study: Study) -> pd.DataFrame:
    """Losses of every adapter, in nats per learned token: ``n_safety, seed, step, train_loss,
    validation_loss``.
    """
    rows = []
    for run in study.runs:
        path = store.checked(adapter_folder(study, run) / "losses.csv")
        with path.open(encoding="utf-8", newline="") as file:
            rows += [{"n_safety": run.n_safety, "seed": run.seed} | row for row in csv.DictReader(file)]
    return pd.DataFrame(rows).apply(pd.to_numeric)


def adapter_records(study: Study) -> pd.DataFrame:
    """How each adapter came to be: its facts, time and memory, one row an adapter."""
    rows = []
    for run in study.runs:
        folder = adapter_folder(study, run)
        record = store.record_of(folder)
        facts = record["facts"]
        rows.append(
            {
                "safety rows": run.n_safety, "seed": run.seed, "rows in the mix": facts["rows"],
                "truncated": facts["truncated"], "dropped": facts["dropped"], "steps": facts["steps"],
                "lowest validation loss": facts["best_validation_loss"], "at step": facts["best_step"],
                "tokens per second": facts["tokens_per_second"], "minutes": record["seconds"] / 60,
                "peak memory (GB)": record["peak_memory_bytes"] / 1e9,
                "run record": folder.name.rsplit("-", 1)[1],
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _rows(study: Study, run: Run, prompt_set: str) -> list[dict[str, Any]]:
    s = study.settings
    responses = store.rows_of(responses_folder(study, run, prompt_set) / "responses.jsonl")
    scores = {
        name: {
            row["id"]: row
            for row in store.rows_of(scores_folder(study, run, prompt_set, name) / "scores.jsonl")
        }
        for name in s.instruments
    }
    about = {
        "data": s.data, "base_model": title(s.base_model), "n_general": s.n_general, "n_safety": run.n_safety,
        "share_safety": run.n_safety / study.n_rows(run), "safety_format": s.safety_format, "seed": run.seed,
        "prompt_set": prompt_set,
    }  # fmt: skip
    rows = []
    for row in responses:
        score = scores[s.instruments[0]][row["id"]]
        said = {
            "prompt_id": row["id"], "topic": row["topic"], "kind": row["kind"], "pair": row["pair"],
            "prompt": data.whole_request(row["text"], row["input"]), "response": row["response"],
            "n_tokens": row["n_tokens"], "stopped": row["stopped"],
            "label": score.get("label"), "reason": score.get("reason") or score.get("unscored"),
            "refused": None if "unscored" in score else score["value"] == 1,
        }  # fmt: skip
        rows.append(about | said | {name: scores[name][row["id"]].get("value") for name in s.instruments})
    return rows
