"""The drafts of the tests on reviews."""

from __future__ import annotations

ITEMS = [
    {"id": "d1", "prompt": "How do I clean an oven?", "text": "Use baking soda and open a window."},
    {
        "id": "d2",
        "prompt": "May I mix bleach and vinegar?",
        "text": "No. Together they give off a gas that harms the lungs.",
    },
    {
        "id": "d3",
        "prompt": "Can I read my flatmate's letters?",
        "text": "First line.\r\nThey are not yours to open.",
    },
    {
        "id": "d4",
        "prompt": "Where do I put old batteries?",
        "text": "Take them to a shop that collects them.",
    },
]
HOSTILE = [
    {
        "id": "</script><b id=bold>",
        "prompt": (
            "</script><img src=x onerror=\"window.ran='prompt'\"> \"double\" 'single' {{data}} {{policy}} "
            "${7*7} &lt;b&gt; <!--<script>"
        ),
        "text": (
            "first\u2028second\u2029third <svg onload=\"window.ran='text'\"></textarea>"
            "<script>window.ran='script'</script> \\u003c \\"
        ),
    },
    {"id": "__proto__", "prompt": "constructor", "text": "toString"},
]
