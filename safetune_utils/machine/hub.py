"""Whether the Hugging Face hub answers, looked at once and at once: its client would try for half a minute
before it says that it does not, several lines each.
"""

from __future__ import annotations

import os
from functools import cache

_LOOK_SECONDS = 5


@cache
def hub_answers() -> bool:
    """Whether the hub can be asked: not where ``HF_HUB_OFFLINE`` is set, nor where nothing answers at
    ``HF_ENDPOINT`` within five seconds. It is looked at once a process.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "yes", "true"):
        return False
    import httpx

    try:
        httpx.head(os.environ.get("HF_ENDPOINT") or "https://huggingface.co", timeout=_LOOK_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return True
