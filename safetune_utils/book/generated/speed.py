"""The speed page: what ``benchmarks/`` measured, as tables and a figure.

Everything is drawn from the files in ``data/results``; nothing is measured here, and no number is typed.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from safetune_utils import places
from safetune_utils.book import figures
from safetune_utils.book.markup import Code, Row, block, marked, paragraph, table

_FINETUNE = {
    "ours": "this book, one adapter",
    "ours-side-by-side": "this book, two adapters at once, added up",
    "trainer-fp32": "Hugging Face Trainer with the original's recipe, fp32",
    "trainer-bf16": "the same, frozen base in bf16",
    "trl": "TRL `SFTTrainer` as it comes",
    "trl-no-recompute": "the same without recomputing activations",
    "trl-bf16-base": "the same with the frozen base in bf16",
}
_GENERATE = {
    "original-fp32": "the original's loop, one prompt at a time, fp32",
    "plain-beams-fp32": "`generate`, batches of 8, fp32",
    "ours-beams-fp32": "this book, fp32",
    "ours-beams-bf16": "this book, bf16",
    "plain-bf16": "`generate`, batches of 16, bf16",
    "plain-bf16-48": "`generate`, batches of 48 of like length, bf16",
    "continuous-batching-bf16": "transformers' continuous batching, bf16",
    "llama-cpp-8": "llama.cpp, 8 slots, 4 bit",
    "llama-cpp-16": "llama.cpp, 16 slots, 4 bit",
    "llama-cpp-32": "llama.cpp, 32 slots, 4 bit",
    "ours-bf16": "this book, bf16",
}


def parts() -> dict[str, str]:
    """What the speed page includes, by name, as Markdown."""
    return {
        "speed_finetune": finetune_table(),
        "speed_generate": generate_table(),
        "speed_profile": profile_table(),
        "speed_growth": growth(),
        "speed_book": book_table(),
        "speed_chapters": chapters_table(),
        "speed_machines": machines_table(),
    }


def finetune_table() -> str:
    """Training: each side's speed, how many times ours it is, its memory, its share of the machine's matrix
    rate.
    """
    found = places.results("finetune_speed")
    rows: list[Row] = []
    for row in found["summary"]:
        name = marked(_FINETUNE[row["side"]])
        if "error" in row:
            rows.append((name, f"did not run: {row['error']}", "", "", "", ""))
            continue
        ratios = (
            ["", ""]
            if row["side"].startswith("ours")
            else [_times(row["ratio_of_ours"]), _times(row["ratio_of_ours_side_by_side"])]
        )
        memory = f"{row['peak_memory_bytes'] / 1e9:.1f} GB"
        rate = f"{row['fraction_of_matmul']:.0%} of {row['precision']}'s"
        rows.append((name, _spread(row["tokens_per_second"]), *ratios, memory, rate))
    ratio_columns = ("one of ours is faster by", "two at once by")
    told = (
        f"{_how(found)} {found['rows']} rows of the embedded corpus, batches of 8, one epoch, the same"
        " rank and layers."
    )
    columns = ("", "real tokens/s", *ratio_columns, "peak memory", "share of the matrix rate")
    return block(table(columns, rows, wide=True), paragraph(told))


def generate_table() -> str:
    """Answering: each side's answers and tokens a second, and how many times it ours are."""
    found = places.results("generate_speed")
    rows: list[Row] = []
    for row in sorted(found["summary"], key=lambda row: list(_GENERATE).index(row["side"])):
        name = _GENERATE[row["side"]]
        if "error" in row:
            rows.append((marked(name), f"did not run: {row['error']}", "", "", ""))
            continue
        others = {
            which: ratio for which, ratio in row["ratio_of_ours"].items() if which != row["side"] and ratio
        }
        ratios = (
            ""
            if row["side"].startswith("ours")
            else ", ".join(f"{_times(ratio)} ({which.rsplit('-', 1)[1]})" for which, ratio in others.items())
        )
        same = row.get("same_text_as_original")
        note = f"; same text as the original: {same[0]}" if same and row["side"] != "original-fp32" else ""
        how = (
            "4 beams, 128 tokens"
            if "beams" in row["side"] or row["side"] == "original-fp32"
            else "greedy, 64 tokens"
        )
        rows.append(
            (
                marked(f"{how}: {name}{note}"),
                _spread(row["answers_per_second"], 2),
                _spread(row["tokens_per_second"]),
                ratios,
                f"{row['peak_memory_bytes'] / 1e9:.1f} GB",
            )
        )
    columns = ("", "answers/s", "useful tokens/s", "ours is faster by (tokens/s)", "peak memory")
    told = (
        f"{_how(found)} {found['prompts']} malicious requests of the embedded corpus (8 for the original's"
        " loop), the base model."
    )
    return block(table(columns, rows, wide=True), paragraph(told))


def profile_table() -> str:
    """Where the time of a training step, of answers and of scores goes."""
    found = places.results("step_profile")
    work = found["profiles"]
    rows: list[Row] = [("tokens/s", *(f"{row['tokens_per_second']:.0f}" for row in work.values()))]
    for part in ("layers", "vocabulary", "attention", "small", "between"):
        rows.append((part, *(f"{100 * row['shares'].get(part, 0):.0f} %" for row in work.values())))
    # Where the weights are put in order beforehand, as for answering in bf16, no plain product is seen.
    rates = [row.get("of_the_product_rate") for row in work.values()]
    rows.append(("rate", *(f"{100 * rate:.0f} %" if rate else "" for rate in rates)))
    columns = ("", *work)
    precision = next(iter(work.values()))["precision"]
    told = f"One run; {found['machine']['processor']}, {precision}, torch {found['versions']['torch']}."
    return block(table(columns, rows, wide=True), paragraph(told))


def growth() -> str:
    """Speed over batch size, length and number of rows, as a figure."""
    found = places.results("growth_speed")
    caption = (
        "Real tokens a second over one thing at a time: in training, rows at once, tokens of a row, rows in"
        " the mix; in answering, prompts at once and new tokens."
    )
    plot = figures.growth(pd.DataFrame(found["points"]), name="growth_speed", caption=caption)
    return block(plot._repr_html_())


def book_table() -> str:
    """Where the time of whole books went, stage by stage."""
    books = places.results("book_time")["books"]
    blocks = []
    for name, book in books.items():
        rows = [
            (row["stage"], str(row["times"] if row["times"] > 1 else ""), _minutes(row["seconds"]))
            for row in book["stages"]
        ]
        adapters, answering = book["adapters"], book["answering"]
        rates = [entry["tokens_per_second"] for entry in adapters]
        told = (
            f"Training ran at {min(rates):.0f} to {max(rates):.0f} real tokens/s with at most"
            f" {max(entry['peak_memory_bytes'] for entry in adapters) / 1e9:.1f} GB; answering at"
            f" {answering['answers'] / answering['seconds']:.1f} answers/s with at most"
            f" {answering['peak_memory_bytes'] / 1e9:.1f} GB."
        )
        columns = ((Code(name), f": {_minutes(book['seconds'])} in all"), "runs", "time")
        blocks += [table(columns, rows, wide=True), paragraph(told)]
    return block(*blocks)


def chapters_table() -> str:
    """Time and memory of each chapter of a whole book."""
    found = places.results("whole_book")
    rows = [
        (row["notebook"], _minutes(row["seconds"]), f"{row['peak_memory_bytes'] / 1e9:.1f} GB")
        for row in found["chapters"]
    ]
    told = (
        f"{found['machine']['processor']}, {found['machine']['threads']} threads, commit {found['code']};"
        f" with installation {_minutes(found['seconds_with_installation'])}."
    )
    columns = (f"all chapters and the site: {_minutes(found['seconds'])}", "time", "peak memory")
    return block(table(columns, rows, wide=True), paragraph(told))


def machines_table() -> str:
    """What each kind of machine took, by preset; whole runs, once each."""
    rows = [
        (
            run["kind"],
            run["processor"],
            Code(run["preset"]),
            _minutes(run["seconds"]),
            "yes" if run["one_pool"] else "no",
            Code(run["code"]),
        )
        for run in places.results("machine_times")["runs"]
    ]
    return block(
        table(("the machine has", "machine", "preset", "time", "one pool", "commit"), rows, wide=True)
    )


def _how(found: dict[str, Any]) -> str:
    n, made = len(found["rounds"]), found["machine"]
    return (
        f"Median of {n} rounds, lowest and highest in brackets; {made['processor']}, {made['threads']}"
        f" threads, torch {found['versions']['torch']}."
    )


def _spread(values: dict[str, float], digits: int = 0) -> str:
    return f"{values['median']:.{digits}f} ({values['min']:.{digits}f}–{values['max']:.{digits}f})"


def _times(ratio: dict[str, float] | None) -> str:
    return f"{ratio['median']:.1f} × ({ratio['min']:.1f}–{ratio['max']:.1f})" if ratio else ""


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"
