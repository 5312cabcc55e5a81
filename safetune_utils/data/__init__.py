"""Sets by name: embedded in ``data/corpus``, registered in ``data/register.yml`` and fetched, or files of the
user.
"""

from safetune_utils.data.files import read_table
from safetune_utils.data.human_labels import (
    XSTEST_MODELS,
    Labelled,
    harm_pairs,
    own_responses,
    split_by_prompt,
    styled_responses,
    xstest_completions,
)
from safetune_utils.data.leakage import Copy, Overlap, exact_copies, overlap
from safetune_utils.data.paper import (
    PAPER_AMOUNTS,
    PaperMix,
    compare_paper_mix,
    paper_safety_ids,
    question_counts,
)
from safetune_utils.data.prompt_sets import PROMPT_SETS, PromptSet, in_order, set_entry
from safetune_utils.data.register import (
    OutsideSet,
    benchmarks,
    fetch,
    is_at_hand,
    not_released,
    registered_sets,
    verify,
    whereabouts,
)
from safetune_utils.data.rows import (
    Example,
    Prompt,
    as_dataset,
    content_hash,
    normal_form,
    whole_request,
)
from safetune_utils.data.sets import (
    available_prompt_sets,
    contrast_examples,
    corpus_rows,
    general_examples,
    load,
    n_registered,
    prompt_sets_of,
    prompts,
    prompts_of,
    safety_examples,
    set_title,
    title_of,
)
from safetune_utils.data.summary import CORPUS, Shape, corpus_shape, listing, outside_shape, overlaps
from safetune_utils.data.user_rows import read_examples, read_prompts
from safetune_utils.data.weights import ShippedWeights, shipped_weights

__all__ = [
    "CORPUS",
    "PAPER_AMOUNTS",
    "PROMPT_SETS",
    "XSTEST_MODELS",
    "Copy",
    "Example",
    "Labelled",
    "OutsideSet",
    "Overlap",
    "PaperMix",
    "Prompt",
    "PromptSet",
    "Shape",
    "ShippedWeights",
    "as_dataset",
    "available_prompt_sets",
    "benchmarks",
    "compare_paper_mix",
    "content_hash",
    "contrast_examples",
    "corpus_rows",
    "corpus_shape",
    "exact_copies",
    "fetch",
    "general_examples",
    "harm_pairs",
    "in_order",
    "is_at_hand",
    "listing",
    "load",
    "n_registered",
    "normal_form",
    "not_released",
    "outside_shape",
    "overlap",
    "overlaps",
    "own_responses",
    "paper_safety_ids",
    "prompt_sets_of",
    "prompts",
    "prompts_of",
    "question_counts",
    "read_examples",
    "read_prompts",
    "read_table",
    "registered_sets",
    "safety_examples",
    "set_entry",
    "set_title",
    "shipped_weights",
    "split_by_prompt",
    "styled_responses",
    "title_of",
    "verify",
    "whereabouts",
    "whole_request",
    "xstest_completions",
]
