"""What a base model is called and known by, without loading it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from safetune_utils.errors import SafetuneError
from safetune_utils.machine.hub import hub_answers
from safetune_utils.store import known_hash

EMBEDDED_TITLE = "SmolLM2-135M-Instruct"
# How the folder of its converted copy begins.
EMBEDDED_FOLDER = "smollm2-135m-bf16"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Bump when the conversion of the embedded model changes, so that the cached copy is made again.
CONVERSION = 1

# An adapter's weights in its folder.
ADAPTER_FILE = "adapter_model.safetensors"
# What loading a model reads in a folder: weights, configs, vocabularies, merges, chat templates.
_READ = (".safetensors", ".json", ".txt", ".model", ".jinja")


def identity(name: str, *, revision: str | None = None) -> str:
    """What identifies a base model: a hash of all that is loaded of it, config and tokenizer too.

    Returns:
        ``gguf:…`` for the embedded model, whose one file holds everything; ``commit:…`` for a Hugging Face
        id, the commit that ``revision`` (``None`` is the main branch) stands for now; ``files:…`` for a
        folder, a hash of the files that a library would read there. A folder's own name is no part of it.

    Raises:
        SafetuneError: a folder without safetensors files, or an id that the hub does not know or that cannot
            be reached.
    """
    if name == "embedded":
        return f"gguf:{GGUF_SHA256}, conversion {CONVERSION}"
    folder = Path(name).expanduser()
    if folder.is_dir():
        return f"files:{_files_hash(folder)}"
    return f"commit:{_commit(name, revision)}"


def no_model(name: str) -> str:
    """The line for a name that is neither a folder nor a Hugging Face id."""
    return f"there is no folder '{name}', and it is no Hugging Face id: check the name of the model"


def no_weights(folder: Path) -> str:
    """The line for a folder without weights that are read here."""
    return f"{folder} holds no *.safetensors file: convert the model with save_pretrained first"


def commit_in(identity: str) -> str | None:
    """The commit that an :func:`identity` names; ``None`` where the model is no Hugging Face id."""
    return identity.removeprefix("commit:") if identity.startswith("commit:") else None


def _files_hash(folder: Path) -> str:
    """sha256 over the names and hashes of the files that loading a model reads, in hexadecimal.

    Raises:
        SafetuneError: there is no safetensors file among them.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in _READ and path.is_file())
    if not any(path.suffix == ".safetensors" for path in files):
        raise SafetuneError(no_weights(folder))
    both = [f"{path.name} {known_hash(path)}\n" for path in files]
    return hashlib.sha256("".join(both).encode()).hexdigest()


def _commit(name: str, revision: str | None) -> str:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError

    try:
        config = hf_hub_download(
            name, "config.json", revision=revision or "main", local_files_only=not hub_answers()
        )
    except HFValidationError:
        raise SafetuneError(no_model(name)) from None
    except (OSError, ValueError) as error:
        raise not_fetched(f"model '{name}'", error) from None
    return Path(config).parent.name  # the hub's cache holds each commit's files in a folder of its own


def not_fetched(what: str, error: Exception) -> SafetuneError:
    """The error for a model or an adapter, named by ``what``, that the Hugging Face hub did not give."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    mend = "check the id and the network, or give a folder that holds it"
    if not isinstance(error, LocalEntryNotFoundError):
        return SafetuneError(f"{what} cannot be reached ({hub_words(error)}): {mend}")
    status = getattr(getattr(error.__cause__, "response", None), "status_code", None)
    hub = f"answers with status {status}" if status else "cannot be reached"
    return SafetuneError(f"{what} is not on this machine, and the hub {hub}: {mend}")


def hub_words(error: BaseException) -> str:
    """All that the Hugging Face hub says in an error, in one line, without the addresses of its server.

    Its first line is a bare status such as ``401 Client Error``; how to get at a model whose owner gives it
    on request stands in the last.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not re.search(r"\bClient Error|\bfor url\b|^http", line)]
    return " ".join(told or lines).removesuffix(".") or type(error).__name__


def title(name: str) -> str:
    """The name a reader knows a base model by."""
    if name == "embedded":
        return EMBEDDED_TITLE
    return Path(name).name if Path(name).expanduser().is_dir() else name
