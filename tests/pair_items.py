"""The items of the tests on the blind comparison."""

from __future__ import annotations

from safetune_utils.annotation import preference
from safetune_utils.annotation.preference import Annotation, PairItem

PROMPTS = [f"Question {number}?" for number in range(1, 7)]
TUNED = [f"Careful answer {number}." for number in range(1, 7)]
PLAIN = [f"Ready answer {number}." for number in range(1, 7)]
SETS = ["malicious"] * 4 + ["ordinary"] * 2
BLIND = {"first_name": "tuned-500", "second_name": "untuned-0", "seed": 3}
ITEMS = preference.pairs(PROMPTS, TUNED, PLAIN, prompt_sets=SETS, **BLIND)
HOSTILE = preference.pairs(
    [
        "</script><img src=x onerror=\"window.ran='prompt'\"> {{data}} {{policy}} ${7*7} "
        "&lt;b&gt; <!--<script>",
        "toString",
    ],
    [
        "one\u2028two\u2029three\r\n  <svg onload=\"window.ran='a'\"></textarea>"
        "<script>window.ran='script'</script> \\u003c \\",
        "",
    ],
    ["<a href=\"javascript:window.ran='link'\">x</a> [x](javascript:alert(1))\ttab", " \n"],
    ids=["</script><b id=bold>", "__proto__"],
    **BLIND,
)


def annotated(
    annotator: str, outcomes: str, *, kind: str = "person", items: list[PairItem] = ITEMS
) -> Annotation:
    """One letter an item in the order of the prompts: w(in), l(oss), g(ood), b(ad), or a dot for none."""
    words = {"w": "first", "l": "second", "g": "equally_good", "b": "equally_bad"}
    made = {str(number): words[letter] for number, letter in enumerate(outcomes, 1) if letter != "."}
    return Annotation(annotator=annotator, kind=kind, study=preference.study_hash(items), outcomes=made)
