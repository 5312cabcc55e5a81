"""Adapters on the Hugging Face hub: fetched by their id, and pushed with a card."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from safetune_utils.errors import SafetuneError
from safetune_utils.machine.hub import hub_answers
from safetune_utils.models.identity import ADAPTER_FILE, hub_words, not_fetched
from safetune_utils.settings import name_and_revision

_CONFIG = "adapter_config.json"


def is_id(name: str) -> bool:
    """Whether a name has the form of a hub's: ``org/name`` or ``org/name@revision``."""
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?", name))


def fetch_adapter(name: str) -> Path:
    """The folder of an adapter of the hub, in the Hugging Face cache; only its config and weights are taken.

    Args:
        name: ``org/name``, or ``org/name@revision`` with a commit, tag or branch.

    Raises:
        SafetuneError: the hub does not know it or cannot be reached.
    """
    from huggingface_hub import hf_hub_download

    repository, revision = name_and_revision(name)
    fetched = partial(hf_hub_download, repository, local_files_only=not hub_answers())
    try:
        folder = Path(fetched(_CONFIG, revision=revision or "main")).parent
        fetched(ADAPTER_FILE, revision=folder.name)  # of the same commit
    except (OSError, ValueError) as error:
        raise not_fetched(f"adapter '{name}'", error) from None
    return folder


def push_adapter(folder: Path, *, to: str, card: str, private: bool) -> str:
    """Push an adapter's config and weights with a card, as one commit, and return its address.

    The token is the Hugging Face client's own: ``HF_TOKEN``, or what ``hf auth login`` keeps.

    Raises:
        SafetuneError: the folder holds no adapter, or the hub refuses or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    for name in (_CONFIG, ADAPTER_FILE):
        if not (folder / name).is_file():
            raise SafetuneError(f"{folder} holds no {name}: give a folder that `safetune finetune` wrote")
    if not hub_answers():
        raise SafetuneError(f"'{to}' could not be pushed, for the hub cannot be reached: check the network")
    api = HfApi()
    files = [CommitOperationAdd(name, str(folder / name)) for name in (_CONFIG, ADAPTER_FILE)]
    files.append(CommitOperationAdd("README.md", card.encode()))
    try:
        api.create_repo(to, private=private, exist_ok=True)
        return str(api.create_commit(to, files, commit_message="Adapter and card").commit_url)
    except (OSError, ValueError) as error:
        raise SafetuneError(
            f"'{to}' could not be pushed ({hub_words(error)}): log in with `hf auth login`, and see whether"
            " you may write there"
        ) from None
