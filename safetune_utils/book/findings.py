"""What executed notebooks found, as plain data: their numbers with intervals, their figures' tables, how they
came to be.

An outcome holds no prompt and no answer, so it can be committed: ``data/results/published/NAME.json`` and,
beside it in a folder of that name, the numbers behind each figure as CSV, and those behind the tables that
have every prompt set by every instrument.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetune_utils import strict_json
from safetune_utils.book import outputs, provenance
from safetune_utils.errors import SafetuneError, did_you_mean
from safetune_utils.machine.files import write_text
from safetune_utils.places import data_folder, inside, own_data_folder, store_folder
from safetune_utils.scoring import instruments
from safetune_utils.settings import shown_name
from safetune_utils.statistics import Estimate

_MADE = ("started", "code", "versions", "instruments", "machine", "seconds", "peak_memory_bytes")
# Settings that may name a place on the machine.
_PLACES = ("base_model", "data", "general_data", "safety_data")

# One run of the book: for each notebook, by its name, what :func:`outcome` gives.
Outcomes = dict[str, dict[str, Any]]


def published_folder() -> Path:
    """Where the committed outcomes are."""
    return data_folder() / "results" / "published"


def outcome(executed: Path) -> dict[str, Any]:
    """What one executed notebook found.

    Returns:
        ``settings`` (a folder or file by its name alone) and ``made`` (commit, versions also of the
        instruments, machine, start, seconds, memory), ``None`` and empty where a notebook was not run by
        `safetune`; ``adapters``, by name the seconds and memory that each took; ``numbers``, each with its
        interval, by their names.

    Raises:
        SafetuneError: it is no notebook, or its record is not of that form.
    """
    try:
        return _outcome(executed)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise SafetuneError(f"{executed} holds no record that `safetune run` wrote: run it again") from None


def _outcome(executed: Path) -> dict[str, Any]:
    record: Mapping[str, Any] = provenance.provenance(executed) or {}
    settings = record.get("settings")
    return {
        "settings": (
            {
                name: shown_name(value) if name in _PLACES and value else value
                for name, value in settings.items()
            }
            if settings
            else settings
        ),
        "made": _made({name: record[name] for name in _MADE if name in record}),
        "adapters": {
            name: {key: adapter[key] for key in ("seconds", "peak_memory_bytes")}
            for name, adapter in record.get("adapters", {}).items()
        },
        "numbers": {
            name: value for name, value in outputs.values(executed).items() if isinstance(value, Estimate)
        },
        "controls": outputs.controls(executed),
    }


def read(source: str | Path) -> Outcomes:
    """The outcomes of a folder of executed notebooks, of one executed notebook, of a committed run by its
    name, or of such a file.

    Raises:
        SafetuneError: there is nothing of the kind.
    """
    path = Path(source)
    if path.is_dir() and str(source):
        found = {
            file.stem: outcome(file)
            for file in sorted(path.glob("*.ipynb"))
            if not file.stem.endswith((".failed", ".partial"))
        }
        if not found:
            raise SafetuneError(
                f"{path} holds no executed notebook (*.ipynb): name the folder that `safetune run` wrote to,"
                " by default executed/"
            )
        return found
    if path.suffix == ".ipynb" and path.is_file():
        return {path.stem: outcome(path)}
    is_name = path.parent == Path()
    file = path if path.suffix == ".json" or not is_name else published_folder() / f"{path.name}.json"
    if not file.is_file():
        known = sorted(path.stem for path in published_folder().glob("*.json"))
        mend = did_you_mean(path.stem, known, otherwise="choose from") if known else "there is none yet"
        raise SafetuneError(
            f"'{source}' is no folder of executed notebooks, no executed notebook and no published run: "
            f"{mend}"
        )
    content = strict_json.read(file, mend="publish the run again")
    try:
        return {name: _read_outcome(found) for name, found in content["notebooks"].items()}
    except SafetuneError as error:  # of a number in it
        raise SafetuneError(f"{file}: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError):
        raise SafetuneError(
            f"{file} is no published run: give one that `safetune publish` wrote, or a folder of executed"
            " notebooks"
        ) from None


def of_store(preset: str | None = None) -> Outcomes:
    """The outcomes of the run store's executed notebooks, of each chapter the one that was executed last.

    Args:
        preset: only of this one; ``None`` takes that of the notebook that was executed last. A chapter that
            has no preset is taken always.

    Raises:
        SafetuneError: there are none.
    """
    paths = [
        path
        for path in sorted((store_folder() / "notebooks").glob("*/*.ipynb"))
        if not path.stem.endswith((".failed", ".partial"))
    ]
    found = sorted(
        ((path.stem, one) for path in paths if (one := outcome(path))["made"]),
        key=lambda pair: pair[1]["made"]["started"],
    )
    presets = [name for _, one in found if (name := _preset_of(one))]
    wanted = preset or (presets[-1] if presets else None)
    last = {name: one for name, one in found if _preset_of(one) in (None, wanted)}
    if not any(map(_preset_of, last.values())):
        of_preset = f" of preset {preset}" if preset else ""
        raise SafetuneError(
            f"{store_folder()} has no executed chapter{of_preset}: run `safetune book` first, or name a"
            " folder of executed notebooks"
        )
    return dict(sorted(last.items()))


def published_like(run: Outcomes) -> str:
    """The name of the published run that has the preset of most of a run's notebooks.

    Raises:
        SafetuneError: there is none of that name.
    """
    presets = Counter(name for one in run.values() if isinstance(name := _preset_of(one), str))
    name = presets.most_common(1)[0][0] if presets else "pocket"
    if not (published_folder() / f"{name}.json").is_file():
        raise SafetuneError(
            f"no run of preset {name} is published: name one of {', '.join(published())} to compare with"
        )
    return name


def _preset_of(found: Mapping[str, Any]) -> Any:
    return (found["settings"] or {}).get("preset")


def _read_outcome(found: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`outcome` gave, from JSON.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: it has not that form.
    """
    groups = {name: dict(found[name]) for name in ("made", "adapters", "numbers")}
    groups["made"] = _made(groups["made"])
    numbers = {name: Estimate.from_data(data) for name, data in groups["numbers"].items()}
    settings = found["settings"] if found["settings"] is None else dict(found["settings"])
    # Runs that were published before there were controls have none.
    controls = [dict(row) for row in found.get("controls", [])]
    return {"settings": settings} | groups | {"numbers": numbers, "controls": controls}


def _made(found: dict[str, Any]) -> dict[str, Any]:
    """How a run came to be; the versions of its instruments, which older runs have not noted, have to be a
    group of settings.
    """
    return found | ({"instruments": dict(found["instruments"])} if "instruments" in found else {})


def version_of(found: Mapping[str, Any], instrument: str) -> int | None:
    """In which version an instrument scored a notebook's answers; ``None`` where all that is known is that it
    was an older one than today's.
    """
    # Versions are noted since the instruments that have more than one were changed for the last time.
    noted = found.get("made", {}).get("instruments", {})
    return noted.get(instrument, 1 if instruments.versions().get(instrument, 1) == 1 else None)


def version_told(found: Mapping[str, Any], instrument: str) -> str:
    """In which version an instrument scored a notebook's answers, in words: ``refusal-rules, version 2``."""
    version = version_of(found, instrument)
    now = instruments.versions().get(instrument, 1)
    return f"{instrument}, {f'before version {now}' if version is None else f'version {version}'}"


def published() -> dict[str, Outcomes]:
    """The committed runs by name."""
    return {path.stem: read(path) for path in sorted(published_folder().glob("*.json"))}


def check_name(name: str) -> None:
    """Check that a name can be that of a published run.

    Raises:
        SafetuneError: it is not one of small letters, digits and hyphens.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", name):
        raise SafetuneError(
            f"'{name}' cannot name a published run: use at most 60 small letters, digits and hyphens"
        )


def publish(executed: Iterable[Path], *, name: str, folder: Path | None = None) -> Path:
    """Write the outcomes of executed notebooks as the run ``name``, and the numbers behind their figures and
    tables of shares.

    Raises:
        SafetuneError: the name is not one of plain letters, digits and hyphens.
    """
    check_name(name)
    paths, folder = list(executed), folder or own_data_folder() / "results" / "published"
    tables = folder / name
    tables.mkdir(parents=True, exist_ok=True)
    for path in paths:
        for part, csv in outputs.numbers(path).items():
            write_text(inside(tables, f"{path.stem}-{part}.csv"), csv)
    target = folder / f"{name}.json"
    run = {"made_by": f"safetune publish {name}", "notebooks": {path.stem: outcome(path) for path in paths}}
    text = json.dumps(run, indent=1, ensure_ascii=False, default=Estimate.as_data)
    write_text(target, text + "\n")
    return target
