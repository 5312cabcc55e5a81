"""The run store: what is in it, and whether all of it is as it was written."""

from __future__ import annotations

import json

import typer

from safetune_utils.cli.common import AsJson, app
from safetune_utils.errors import SafetuneError
from safetune_utils.terminal import say

store_app = typer.Typer(no_args_is_help=True, help=__doc__)
app.add_typer(store_app, name="store")


@store_app.command("list")
def store_list(as_json: AsJson = False) -> None:
    """Every stage that is made, with when, how long it took and the highest memory of its process."""
    from safetune_utils import store

    found = store.list_records()
    if as_json:
        say(found.to_json(orient="records", indent=1))
    else:
        say(found.to_string(index=False) if len(found) else f"no stages in {store.store_folder()}")


@store_app.command("verify")
def store_verify(as_json: AsJson = False) -> None:
    """Read every file of every stage and compare it with the hash that it was written with."""
    from safetune_utils import store

    n, unmarked, faults = 0, 0, []
    for folder, record, fault in store.stages(trusting=False):
        n += 1
        unmarked += record is not None and "itself" not in record
        if fault:
            faults.append(f"{folder.parent.name}/{folder.name} {fault}")
    if as_json:
        say(json.dumps({"stages": n, "faults": faults, "without_hash_of_record": unmarked}, indent=1))
    else:
        say("\n".join([*faults, f"{n} stages, {len(faults)} of them not as they were written"]))
    if unmarked and not as_json:
        say(f"{unmarked} records are of an older version, which wrote no hash of the record itself")
    if faults:
        raise SafetuneError(
            f"{len(faults)} of {n} stages count as not made: run their studies again, and they are made anew"
        )
