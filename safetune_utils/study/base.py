"""The base model of a study: what stands for it in the key of a stage, whether it can do what is asked, and
loading it; and the stages' versions.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING

from safetune_utils import store, strict_json
from safetune_utils.data import content_hash
from safetune_utils.machine.files import read_sealed, sealed, write_json
from safetune_utils.models.identity import commit_in
from safetune_utils.models.template import ALPACA, TEMPLATE, TEMPLATE_WITH_INPUT
from safetune_utils.places import cache_folder
from safetune_utils.settings import USUAL_TARGETS, Settings
from safetune_utils.study.study import Study

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# One is raised when its stage would give another result from the same inputs, or when the default of a
# setting changes that is part of them.
VERSIONS = {
    "mixes": 1,
    "base_losses": 2,
    "adapters": 3,
    "responses": 3,
    "scores": 4,
    "capability": 2,
    "reference-losses": 2,
}

# Architectures of which PEFT's own list says so too; for these no library is imported to look.
WITH_USUAL_TARGETS = ("llama", "mistral", "qwen2", "qwen3")
_CONTEXT_OF_EMBEDDED = 8192  # tokens


def key(study: Study) -> store.Facts:
    """What the base model, as this study holds it, and its prompt template add to a stage's inputs."""
    s = study.settings
    held = {} if s.quantization == "none" else {"quantization": s.quantization}
    return {
        "template": TEMPLATE + TEMPLATE_WITH_INPUT if s.template == ALPACA else s.template,
        "base_model": study.base_identity,
        "arithmetic": study.arithmetic,
    } | held


def default_targets(settings: Settings) -> list[str] | None:
    """The layers of the base model that get an adapter where none are named; ``None`` where they are only
    known when it is loaded.

    Raises:
        SafetuneError: its configuration cannot be read.
    """
    if settings.base_model == "embedded" or _model_type(settings.base_model) in WITH_USUAL_TARGETS:
        return list(USUAL_TARGETS)
    from safetune_utils.models.architecture import architecture_of

    shape = architecture_of(settings.base_model, revision=settings.revision)
    return shape.default_targets if shape else None


def _model_type(base_model: str) -> str | None:
    """The architecture of a base model in a folder, read as text; ``None`` where that does not say it."""
    try:
        found = strict_json.parse((Path(base_model).expanduser() / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None  # told where the model is checked
    return found.get("model_type") if isinstance(found, dict) else None


def check(study: Study) -> None:
    """Check, before its weights are read, that the base model can be trained and asked as the study says.

    Raises:
        SafetuneError: see :func:`safetune_utils.models.checks.check_base`; or a row, or a prompt with its
            answer, is longer than the model's context, or has a token that it has no embedding for.
    """
    kept = _passed_at(study)
    if kept and read_sealed(kept):
        return

    from safetune_utils.generation.prompts import check_prompts
    from safetune_utils.models.checks import check_base, check_rows, context
    from safetune_utils.training.rows import encode_row

    s, recipe, revision = study.settings, study.settings.recipe, commit_in(study.base_identity)
    config, tokenizer = check_base(
        s.base_model,
        revision=revision,
        precision=s.precision,
        target_modules=recipe.target_modules,
    )
    for name in _asked(study):
        check_prompts(
            study.prompts(name),
            name=s.base_model,
            config=config,
            tokenizer=tokenizer,
            decoding=s.decoding,
            template=s.template,
            what=f"a prompt of {name}",
        )
    longest = context(config) or recipe.max_length
    # Encoding all rows takes seconds, and is left out where none could be wrong.
    if recipe.max_length > longest or len(tokenizer) > config.get_text_config().vocab_size:
        rows = (*study.general, *study.safety, *study.contrast)
        check_rows(
            (
                encode_row(
                    tokenizer,
                    row,
                    max_length=recipe.max_length,
                    loss_on=recipe.loss_on,
                    template=s.template,
                ).ids
                for row in rows
            ),
            name=s.base_model,
            config=config,
            what="a training row",
            mend=f"lower max_length in recipe to {longest}",
        )
    if kept:
        with contextlib.suppress(OSError):  # a cache that cannot be written costs a second look, nothing else
            write_json(kept, sealed({"passed": True}))


def _asked(study: Study) -> list[str]:
    """The prompt sets that any model of a study is asked, each once."""
    return list(dict.fromkeys((*study.prompt_sets, *study.controls)))


def _passed_at(study: Study) -> Path | None:
    """The file of the cache that says that the embedded model passed this study's check, so that a second run
    need not import what loads models to see it again; ``None`` for any other model, whose files may change,
    and where rows are looked at too.
    """
    s = study.settings
    if s.base_model != "embedded" or s.recipe.max_length > _CONTEXT_OF_EMBEDDED:
        return None
    package = Path(__file__).parents[1]
    code = [package / path for path in ("study/base.py", "models/checks.py", "generation/prompts.py")]
    about = {
        "base_model": study.base_identity,
        "settings": s.model_dump(include={"precision", "template", "decoding"}, mode="json"),
        "target_modules": s.recipe.target_modules,
        "asked": {name: content_hash(study.prompts(name)) for name in _asked(study)},
        "code": [store.file_hash(path) for path in code],
        "transformers": importlib.metadata.version("transformers"),
    }
    return cache_folder() / "checked" / f"{store.key_of(about)}.json"


def load(study: Study) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base model, loaded as the study's settings say, at the revision that it was identified by, and its
    tokenizer.

    Raises:
        SafetuneError: it cannot be loaded, or this machine lacks the planned device.
    """
    from safetune_utils.models.base_model import load_base

    s = study.settings
    return load_base(
        s.base_model,
        device=s.device,
        precision=s.precision,
        quantization=s.quantization,
        revision=commit_in(study.base_identity),
    )
