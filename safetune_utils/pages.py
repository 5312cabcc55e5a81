"""What a notebook shows besides its figures: the banner, tables, glued numbers, folded answers.

Model output and prompts are untrusted text: everything is escaped before it reaches a page.
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd
from IPython.display import HTML, display

from safetune_utils import figures, models, stats
from safetune_utils.data import PROMPT_SETS, set_title
from safetune_utils.instruments import trust
from safetune_utils.review import Review
from safetune_utils.settings import Mixing, shown_name
from safetune_utils.stats import Difference, Estimate, Share, Trend, holm
from safetune_utils.study import Study

# Published sizes, for the banner's comparison. Source: the paper's models (LLaMA-7B was its main one).
_PAPER_MODEL = "LLaMA-7B"
_EMBEDDED_NOTE = (
    f"{models.EMBEDDED_TITLE} has 135 million parameters, about fifty times fewer than the paper's {_PAPER_MODEL}, and was "
    "instruction-tuned by its makers before we began (the paper started from base models). Read directions here, not values."
)


def banner(study: Study) -> HTML:
    """An honest line at the head of a page: which model, how small, which data, how many adapters."""
    s = study.settings
    size = f"{_EMBEDDED_NOTE}" if s.base_model == "embedded" else f"The base model is {models.title(s.base_model)}."
    corpus = {
        "embedded": "the embedded corpus, written for this book",
        "paper": "the paper's own data",
        "paper-sample": "the paper's own safety data and prompt sets, with a 2,000-row Alpaca sample as general data",
    }.get(s.data, f"your data in {shown_name(s.data)}")
    others = [f"{kind} rows from {shown_name(source)}" for kind, source in (("general", s.general_data), ("safety", s.safety_data)) if source]
    corpus += f" ({', '.join(others)})" if others else ""
    share = max(run.n_safety / study.n_rows(run) for run in study.runs)
    text = (
        f"Preset {s.preset}; {corpus}; {s.n_general} general examples and {', '.join(map(str, s.safety_amounts))} safety examples "
        f"(up to {percent(share)} of a mix; the paper went up to 9 %); {len(s.seeds)} seed{'s' if len(s.seeds) > 1 else ''}."
    )
    unlike = {name: value for name, value in s.mixing.model_dump().items() if value != Mixing.model_fields[name].default}
    if s.mixing.choice != "hardest":
        unlike.pop("n_candidates", None)
    text += f" Mixed otherwise than by default: {', '.join(f'{name} {value}' for name, value in unlike.items())}." if unlike else ""
    text += f' Before every instruction stands "{s.decoding.guard}".' if s.decoding.guard else ""
    return HTML(
        f'<div class="admonition note safetune-banner"><p class="admonition-title">What was run</p><p>{html.escape(size)}</p><p>{html.escape(text)}</p></div>'
    )


def plan_table(study: Study) -> HTML:
    """What a study will train and answer, what is there already, and how long the rest takes on this machine."""
    plan = study.plan()
    to_train = int((plan["adapter"] == "to train").sum())
    sets = ", ".join(f"{PROMPT_SETS[name].title} ({len(study.prompts(name))})" for name in study.prompt_sets)
    caption = (
        f"{models.title(study.settings.base_model)}, data '{study.settings.data}': {len(study.runs)} adapters, {to_train} to train when this page was begun; "
        f"about {plan['minutes_left'].sum():.0f} minutes left by then. Prompt sets: {sets}."
    )
    return table(plan.round(1).rename(columns=lambda name: name.replace("_", " ").replace("n safety", "safety rows")), caption=caption)


def run_by(study: Study) -> str:
    """One phrase for the welcome page: which model, on what, with which preset and how many seeds."""
    s = study.settings
    seeds = "one seed" if len(s.seeds) == 1 else f"{len(s.seeds)} seeds"
    return f"{models.title(s.base_model)} with the preset {s.preset}, {s.n_general} general examples and {seeds}"


def share_table(curve: pd.DataFrame, study: Study) -> HTML:
    """The shares of refusals as a table: amounts across, prompt sets down, each with its interval and n."""
    columns = sorted(curve["n_safety"].unique())
    head = "".join(f"<th scope='col'>{n}</th>" for n in columns)
    body = []
    for name in [s for s in PROMPT_SETS if s in set(curve["prompt_set"])]:
        rows = curve[curve["prompt_set"] == name].set_index("n_safety")
        cells = "".join(f"<td>{_share_cell(rows.loc[n])}</td>" for n in columns)
        scored = sorted({int(n) for n in rows["n_scored"]})
        count = f"{scored[0]}" if len(scored) == 1 else f"{scored[0]}–{scored[-1]}"
        title = f"{PROMPT_SETS[name].title}<br><small>{html.escape(set_title(study.settings.data, name))}</small>"
        body.append(f"<tr><th scope='row'>{title}</th><td>{PROMPT_SETS[name].a_refusal_is}</td><td>{count}</td>{cells}</tr>")
    unscored = int(curve["n_unscored"].sum())
    note = f"Answers that refuse, in per cent, with 95 % intervals ({' and '.join(sorted({*curve['method']} - {'none'})) or 'none'}); columns are safety examples, n is scored answers. Unscored: {unscored}."
    leaks = study.leaks()
    if leaks:
        note += f" Counted although trained on word for word: {', '.join(f'{len(ids)} of {PROMPT_SETS[name].title}' for name, ids in leaks.items())}."
    return HTML(
        f"<table class='dataframe safetune-table'>{_caption(note, curve, name='shares')}<thead><tr><th scope='col'>prompts</th>"
        f"<th scope='col'>a refusal is</th><th scope='col'>n</th>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    )


def trust_table(answers: pd.DataFrame, study: Study) -> HTML:
    """How far to trust each share of refusals: corrected for the instrument's errors, and beside what can be read at all."""
    instrument = study.settings.instruments[0]
    columns = {"refused": "refuse", "corrected": "as people would count", "readable": "can be read", "refused_readable": "refuse and can be read"}
    rows = [
        (PROMPT_SETS[row["prompt_set"]].title, row["n_safety"], *(_interval_only(row[name]) for name in columns))
        for row in trust(answers, instrument=instrument).to_dict("records")
    ]
    caption = (
        f"Shares of answers in per cent, with 95 % intervals. The instrument is '{instrument}'; 'as people would count' corrects for how often it erred on answers "
        "that people labelled, and its interval carries both uncertainties; it is cut at 0 and 100, so '100 (100–100)' says that the instrument found more refusals than "
        "its errors there allow, not that all is certain; 'can be read' is by rules on loops, signs and unknown words."
    )
    return table(rows, caption=caption, columns=("prompts", "safety examples", *columns.values()))


def agreement_table(rows: pd.DataFrame, *, why_not: str = "") -> HTML:
    """How models agree with people: accuracy, precision, recall and κ, each with its 95 % interval, one line a model.

    Args:
        rows: columns ``model``, ``n`` and, for each figure, a list of the figure and its bounds.
        why_not: shown instead where there are no rows.
    """
    if why_not:
        return HTML(f"<p>Not measured here: {html.escape(why_not)}</p>")
    names = ("accuracy", "precision", "recall", "kappa")
    body = [(row["model"], row["n"], *("{:.2f} ({:.2f}–{:.2f})".format(*row[name]) for name in names)) for row in rows.to_dict("records")]
    caption = "Harmful or not, against people; 95 % intervals from a bootstrap over questions."
    return table(body, caption=caption, columns=("model", "answers", "accuracy", "precision", "recall", "κ"))


def transfer_table(table: pd.DataFrame, studies: Sequence[Study], *, what: str) -> HTML:
    """Shares by what was trained on (down) and what was asked (across), each with its interval and n.

    Args:
        table: from :func:`safetune_utils.stats.summarise` by ``trained`` (shown in the order of its rows) and ``prompt_set``.
        studies: those that it came from, for the names of the sets and for prompts that are trained on.
        what: what the share is of: ``answers that refuse``.
    """
    sets = [s for s in PROMPT_SETS if s in set(table["prompt_set"])]
    source = studies[0].settings.data
    head = "".join(f"<th scope='col'>{PROMPT_SETS[s].title}<br><small>{html.escape(set_title(source, s))}</small></th>" for s in sets)
    body = []
    for trained, rows in table.groupby("trained", sort=False, observed=True):
        at = rows.set_index("prompt_set").reindex(sets)
        cells = "".join(f"<td>{_share_cell(row)}<br><small>n = {int(row['n_scored'])}</small></td>" for _, row in at.fillna({"n_scored": 0}).iterrows())
        body.append(f"<tr><th scope='row'>{html.escape(str(trained))}</th>{cells}</tr>")
    methods = " and ".join(sorted(set(table["method"]) - {"none"}))
    note = f"{what.capitalize()}, in per cent, with 95 % intervals ({methods}); n is scored answers. Unscored: {int(table['n_unscored'].sum())}."
    leaks: dict[str, set[str]] = {}
    for study in studies:
        for prompt_set, ids in study.leaks().items():
            leaks.setdefault(prompt_set, set()).update(ids)
    if leaks:
        note += f" Counted although trained on word for word: {', '.join(f'{len(ids)} of {PROMPT_SETS[name].title}' for name, ids in leaks.items())}."
    return HTML(
        f"<table class='dataframe safetune-table'>{_caption(note, table, name='transfer')}<thead><tr><th scope='col'>safety examples in training</th>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def comparisons(differences: dict[str, Difference], *, caption: str) -> HTML:
    """Paired differences in points, by what is compared, with p-values that Holm's method corrects for all rows of the table."""
    corrected = holm([d.p_value for d in differences.values()])
    rows = [
        (name, signed(d.difference), f"{signed(d.low)} to {signed(d.high)}", d.n_pairs, p_value(p)) if d.n_pairs else (name, "not paired", "", 0, "")
        for (name, d), p in zip(differences.items(), corrected, strict=True)
    ]
    note = f"{caption} Second minus first, in points, on the same requests; p-values are two-sided and corrected for the number of rows (Holm)."
    return table(rows, caption=note, columns=("compared", "difference", "95 % interval", "pairs", "p, corrected"))


def question_forms(study: Study) -> str:
    """How the question forms that a study trains on came to be, in words, from the rows of its first mix."""
    origins = Counter(row.question_origin for row in study.safety_rows(study.runs[0]) if row.question and row.instruction == row.question)
    words = {"": "as their authors wrote them", "rewritten": "rewritten from the instruction by rule", "red-team attempts": "found in the red-team attempts"}
    return ", ".join(f"{n} {words[origin]}" for origin, n in origins.most_common()) or "none"


def note(text: str) -> HTML:
    """One line in place of what this run cannot show."""
    return HTML(f"<p>{html.escape(text)}</p>")


def instrument_table(shares: pd.DataFrame) -> HTML:
    """Every prompt set by every instrument: ``shares`` as from :func:`safetune_utils.instruments.shares`; amounts across."""
    amounts = sorted(shares["n_safety"].unique())
    rows = []
    for name in [s for s in PROMPT_SETS if s in set(shares["prompt_set"])]:
        for (instrument, says), part in shares[shares["prompt_set"] == name].groupby(["instrument", "says"], sort=False):
            at = part.set_index("n_safety")
            rows.append(
                (
                    PROMPT_SETS[name].title,
                    f"{says} ({instrument})",
                    int(part["n_scored"].min()),
                    *(_interval_only(Share(*at.loc[n, list(Share._fields)])) for n in amounts),
                )
            )
    caption = "Shares of answers in per cent, with 95 % intervals, by every instrument of this run; columns are safety examples, n is scored answers."
    return table(rows, caption=caption, columns=("prompts", "answers that", "n", *map(str, amounts)))


def trend_table(answers: pd.DataFrame) -> HTML:
    """For each prompt set of a study's answers: whether the share of refusals moves with the amount, where it levels off, what could be seen."""
    sets = {name: stats.by_amount(answers, prompt_set=name) for name in PROMPT_SETS if name in set(answers["prompt_set"])}
    if answers["n_safety"].nunique() < 2:
        return note("This run has one amount only, so there is no trend to test.")
    trends = {name: stats.trend_test(shares) for name, shares in sets.items()}
    corrected = dict(zip(trends, holm([trend.p_value for trend in trends.values()]), strict=True))
    rows = [
        (
            PROMPT_SETS[name].title, trends[name].n_prompts, _trend(trends[name], corrected[name]), p_value(trends[name].p_value),
            p_value(corrected[name]), levels_off(shares), detectable(shares),
        )
        for name, shares in sets.items()
    ]  # fmt: skip
    caption = (
        "Does the share of refusals move with the amount? Mantel's test for trend within prompts, by permutation; 'corrected' by Holm's method for the "
        f"{len(rows)} prompt sets. 'Levels off': from where on no difference to the largest amount is seen. The last column is the smallest change "
        "from the smallest to the largest amount that these prompts would show four times in five."
    )
    return table(rows, caption=caption, columns=("prompts", "n", "trend", "p", "p, corrected", "levels off", "would be seen from"))


def levels_off(shares: pd.DataFrame) -> str:
    """Where a curve levels off, in words; ``shares`` as from :func:`safetune_utils.stats.by_amount`."""
    smallest, largest = shares.columns.min(), shares.columns.max()
    start = stats.flat_from(shares)
    if start is None:
        return "not measured"
    if smallest == largest:
        return "not to be told from one amount"
    if start == largest:
        return f"not seen up to {largest}"
    return f"from {start} on" + (" (no change seen)" if start == smallest else "")


def detectable(shares: pd.DataFrame) -> str:
    """The smallest change that the prompts would show, in words; as many are taken to change against it as did here."""
    changes = (shares[shares.columns.max()] - shares[shares.columns.min()]).dropna()
    back = min(changes.clip(lower=0).mean(), -changes.clip(upper=0).mean()) if len(changes) else 0.0
    smallest = stats.detectable_difference(len(changes), back=back)
    return "none: too few prompts" if pd.isna(smallest) else f"{smallest * 100:.0f} points"


def record_table(study: Study) -> HTML:
    """How each adapter came to be: facts down, adapters across."""
    records = study.records()
    head = "".join(f"<th scope='col'>{n} safety, seed {seed}</th>" for n, seed in zip(records["safety rows"], records["seed"], strict=True))
    body = []
    for name in records.columns.drop(["safety rows", "seed"]):
        cells = "".join(f"<td>{html.escape(f'{value:.2f}' if isinstance(value, float) else str(value))}</td>" for value in records[name])
        body.append(f"<tr><th scope='row'>{html.escape(name)}</th>{cells}</tr>")
    caption = "How each adapter came to be, one column an adapter. The last row ends the name of its folder in the run store."
    return HTML(
        f"<table class='dataframe safetune-table'>{_caption(caption, records, name='adapters')}<thead><tr><td></td>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def examples(answers: pd.DataFrame, *, prompt_set: str, n: int = 3, by: str = "n_safety") -> HTML:
    """The first answers to a prompt set at each amount, folded; withheld where the data is not the embedded corpus.

    The same prompts are shown at every amount, and always the first of the set, so nobody picked them. Where another
    column than the amount tells the adapters apart, ``by`` names it.
    """
    rows = answers[(answers["prompt_set"] == prompt_set) & (answers["seed"] == answers["seed"].min())]
    if rows.empty:
        return note(f"This data has no {PROMPT_SETS[prompt_set].title}.")
    if set(rows["data"]) != {"embedded"}:
        return HTML("<p>Prompts and answers from outside sets are not shown on pages; they are in the run store.</p>")
    blocks = []
    for prompt_id in rows["prompt_id"].drop_duplicates()[:n]:
        said = rows[rows["prompt_id"] == prompt_id].sort_values(by)
        items = "".join(
            f"<li><strong>{html.escape(f'{getattr(r, by)} safety examples' if by == 'n_safety' else str(getattr(r, by)))}</strong> ({'unscored' if pd.isna(r.label) else r.label.replace('_', ' ')}): {html.escape(r.response)}{'' if r.stopped else ' …'}</li>"
            for r in said.itertuples()
        )
        blocks.append(f"<p><em>{html.escape(said['prompt'].iloc[0])}</em></p><ul>{items}</ul>")
    title = f"Show the answers to the first {n} prompts of {PROMPT_SETS[prompt_set].title} (untrusted model output)"
    return HTML(f"<details class='safetune-answers'><summary>{html.escape(title)}</summary>{''.join(blocks)}</details>")


def table(rows: pd.DataFrame | list[tuple[Any, ...]], *, caption: str, columns: tuple[str, ...] = ("", "value")) -> HTML:
    """A small table with a caption and its CSV; everything in it is escaped. Plain rows take ``columns`` as their head."""
    if isinstance(rows, list):
        rows = pd.DataFrame(rows, columns=list(columns), dtype=object)
    head = "".join(f"<th scope='col'>{html.escape(str(name))}</th>" for name in rows.columns)
    body = "".join(
        f"<tr><th scope='row'>{html.escape(str(first))}</th>{''.join(f'<td>{html.escape(str(value))}</td>' for value in rest)}</tr>"
        for first, *rest in rows.itertuples(index=False)
    )
    name = re.sub(r"[^a-z0-9]+", "_", caption.lower()).strip("_")[:40]
    return HTML(f"<table class='dataframe safetune-table'>{_caption(caption, rows, name=name)}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def tally_table(tally: pd.DataFrame, *, caption: str) -> HTML:
    """Who preferred whose answers, one line an annotator and prompt set; ``tally`` as from :func:`safetune_utils.scoring.preference.tally`."""
    first, second = tally["first"].iloc[0], tally["second"].iloc[0]
    columns = {
        "prompt_set": "prompts", "annotator": "annotator", "first_better": f"{first} better", "second_better": f"{second} better",
        "equally_good": "both good", "equally_bad": "both bad", "n": "judged",
    }  # fmt: skip
    shown = tally[list(columns)].rename(columns=columns)
    shown["win rate"] = [_interval_only(Estimate(row.win_rate, row.low, row.high)) for row in tally.itertuples()]
    caption += f" Win rates are of '{first}', in per cent, with 95 % intervals."
    if "chose_a" in tally:
        shown["took side A"] = [percent(share) if pd.notna(share) else "no side" for share in tally["chose_a"]]
    return table(shown, caption=caption)


def decisions(reviews: list[Review], *, caption: str) -> HTML:
    """What each reviewer decided, as counts: one line a reviewer."""
    rows = [
        {"reviewer": review.reviewer, "decided": len(review.decisions)}
        | {word: sum(decision.decision == word for decision in review.decisions.values()) for word in ("accept", "edit", "reject")}
        for review in reviews
    ]
    return table(pd.DataFrame(rows, columns=["reviewer", "decided", "accept", "edit", "reject"]), caption=caption)


def folded(items: list[tuple[str, str]], *, summary: str) -> HTML:
    """Pairs of a heading and a text, folded under a summary; everything is escaped."""
    body = "".join(f"<dt>{html.escape(head)}</dt><dd>{html.escape(text)}</dd>" for head, text in items)
    return HTML(f"<details class='safetune-answers'><summary>{html.escape(summary)}</summary><dl>{body}</dl></details>")


def embedded_page(page: str, *, name: str, title: str) -> HTML:
    """A whole page of its own inside this one, cut off from it, and as a file to download and open by itself."""
    data = base64.b64encode(page.encode()).decode()
    frame = f'<iframe class="safetune-frame" title="{html.escape(title, quote=True)}" sandbox="allow-scripts allow-downloads allow-modals" srcdoc="{html.escape(page, quote=True)}"></iframe>'
    link = f'<p><a download="{name}.html" href="data:text/html;base64,{data}">Download this page</a>: opened by itself, it also remembers what you decided.</p>'
    return HTML(f"<details class='safetune-answers'><summary>{html.escape(title)}</summary>{frame}{link}</details>")


class Worded(str):
    """A number in words that still holds the number: ``number`` is as :func:`measured` gives it."""

    number: dict[str, Any]


def glue(**values: Any) -> None:
    """Record values so that the prose of the page can name them with ``{glue:text}``.

    The form is papermill's record form, which myst-nb reads; outside a book this shows nothing. A :class:`Worded` value
    is recorded as a number too, so that another run's can be laid beside it.
    """
    for name, value in values.items():
        metadata: dict[str, Any] = {"scrapbook": {"name": name, "mime_prefix": _GLUE, "has_prefix": True}}
        if isinstance(value, Worded):
            metadata["safetune"] = {"number": value.number}
        display({f"{_GLUE}text/plain": str(value)}, metadata=metadata, raw=True)


def finding(claim: str, value: Difference | Share) -> None:
    """Record what a page found about a claim of the paper, for the page that lays the paper beside the book.

    Args:
        claim: an id from ``data/paper/claims.yml``.
        value: the paired difference or the share that the claim is judged by.
    """
    number = measured(value)
    glue(**{f"claim_{claim}": _worded(json.dumps(number), number)})


def measured(value: Difference | Share | Estimate) -> dict[str, Any]:
    """A number with its interval as plain data: ``kind, n, value, low, high``, for a difference ``p_value`` too; ``None`` where undefined.

    A ``unit`` stands beside them where the number is not a share, see :func:`change`.
    """
    numbers = {"value": value[0], "low": value.low, "high": value.high}
    n = None
    if isinstance(value, Difference):
        n, numbers["p_value"] = int(value.n_pairs), value.p_value
    elif isinstance(value, Share):
        n = int(value.n_scored)
    return {"kind": type(value).__name__, "n": n} | {name: None if math.isnan(number) else float(number) for name, number in numbers.items()}


_GLUE = "application/papermill.record/"


def percent(value: float) -> str:
    """A share from 0 to 1 in words: ``12 %``; ``not scored`` for a missing one."""
    return "not scored" if pd.isna(value) else f"{value * 100:.0f} %"


def with_interval(row: Any) -> str:
    """A share with its interval and n in words: ``12 % (7 to 20 %, n = 98)``."""
    number = measured(Share(*(row[name] for name in ("share", "low", "high", "n_scored")), n_unscored=0, method=""))
    if pd.isna(row["share"]):
        return _worded("not scored", number)
    return _worded(f"{percent(row['share'])} ({row['low'] * 100:.0f} to {row['high'] * 100:.0f} %, n = {int(row['n_scored'])})", number)


def win_rate(row: pd.Series) -> str:
    """A win rate of a tally with its interval and the judgements that it counts."""
    return with_interval({"share": row["win_rate"], "low": row["low"], "high": row["high"], "n_scored": row["n"]})


def estimated(value: Estimate) -> str:
    """An estimated share with its interval: ``12 % (7 to 20 %)``."""
    words = "not to be told" if pd.isna(value.value) else f"{percent(value.value)} ({value.low * 100:.0f} to {value.high * 100:.0f} %)"
    return _worded(words, measured(value))


def kappa(value: float, low: float, high: float) -> str:
    """An agreement beyond chance with its interval: ``0.82 (0.71 to 0.93)``."""
    if pd.isna(value):
        return "not known"
    return f"{value:.2f}" + ("" if pd.isna(low) else f" ({low:.2f} to {high:.2f})")


def change(difference: Difference, *, unit: str = "points", of: str = "prompts") -> str:
    """A paired difference in words, for a sentence: ``rises by 45 points (36 to 54)`` or ``shows no change …``.

    Args:
        unit: ``points`` for shares, which are told in hundredths; any other unit is told as it was measured.
        of: what the pairs are.
    """
    number = measured(difference) | ({} if unit == "points" else {"unit": unit})
    return _worded(_change_words(difference, unit=unit, of=of), number)


def _change_words(difference: Difference, *, unit: str, of: str) -> str:
    if difference.n_pairs == 0:
        return "was not measured"
    scale, digits = (100, 0) if unit == "points" else (1, 3 if unit == "nats" else 2)
    if math.isnan(difference.low):
        return f"was measured on {difference.n_pairs} {of} only, too few to tell"
    low, high = (signed(value, scale=scale, digits=digits) for value in (difference.low, difference.high))
    bounds = f"({low} to {high} {unit} on {difference.n_pairs} {of})"
    if difference.direction == "not seen":
        return f"shows no change outside the noise {bounds}"
    return f"{difference.direction} by {abs(difference.difference) * scale:.{digits}f} {unit} {bounds}"


def p_value(value: float) -> str:
    """A p-value in a cell: ``0.034``, ``below 0.001``."""
    if pd.isna(value):
        return "not tested"
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _trend(trend: Trend, p: float) -> str:
    if pd.isna(p):
        return "not tested"
    return "not seen" if p >= 0.05 else "rises" if trend.slope > 0 else "falls"


def _worded(text: str, number: dict[str, Any]) -> Worded:
    words = Worded(text)
    words.number = number
    return words


def signed(value: float, *, scale: int = 100, digits: int = 0) -> str:
    """A difference in a cell, in points by default: ``+12``, ``-3``, ``0``."""
    rounded = round(value * scale, digits)
    return f"{rounded:+.{digits}f}" if rounded else "0"


def _interval_only(value: Share | Estimate | None) -> str:
    if value is None:
        return "not measured"
    if pd.isna(value[0]):
        return "not to be told"
    return f"{value[0] * 100:.0f} ({value.low * 100:.0f}–{value.high * 100:.0f})"


def _share_cell(row: pd.Series) -> str:
    if row["n_scored"] == 0:
        return "not scored"
    return f"{row['share'] * 100:.0f} <small>({row['low'] * 100:.0f}–{row['high'] * 100:.0f})</small>"


def _caption(text: str, rows: pd.DataFrame, *, name: str) -> str:
    return f"<caption>{html.escape(text)} ({figures.csv_link(name, rows.to_csv(index=False))})</caption>"
