"""What requests cost: an estimate beforehand, and a cap that holds while they run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from threading import Lock

from safetune_utils.errors import SafetuneError
from safetune_utils.services.requests import Request, Service

# The service's tokenizer is not at hand, so prompts are counted high: English has more than four bytes a
# token, other scripts about three; a chat template adds its marks to each message and may add a system
# message of its own.
_BYTES_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 8
_TOKENS_PER_REQUEST = 24


@dataclass(frozen=True)
class Cost:
    """What asking would take: an estimate for the prompts, counted high, and an upper bound for the replies."""

    calls: int
    already_there: int
    prompt_tokens: int
    completion_tokens_at_most: int
    usd_at_most: float


def check_cap(ahead: Cost, *, cap_usd: float) -> None:
    """Refuse an estimate above the cap.

    Raises:
        SafetuneError: it is above, with both figures.
    """
    if not ahead.usd_at_most <= cap_usd:
        raise SafetuneError(
            f"{ahead.calls} calls may cost up to {ahead.usd_at_most:.4g} USD, above the cap of {cap_usd:.4g} USD: raise cap_usd, ask less, or lower max_tokens"
        )


def count_prompt_tokens(request: Request) -> int:
    texts = sum(
        math.ceil(len(message["content"].encode()) / _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE
        for message in request.messages
    )
    return texts + _TOKENS_PER_REQUEST


def usd_for(service: Service, prompt_tokens: int, completion_tokens: int) -> float:
    return (
        prompt_tokens * service.usd_per_million_in + completion_tokens * service.usd_per_million_out
    ) / 1e6


def most_usd(request: Request, service: Service) -> float:
    return usd_for(service, count_prompt_tokens(request), request.max_tokens)


class Purse:
    """What may still be spent, shared by the threads: a call takes out the most it may cost and puts back the
    rest.

    The estimate may be too low, so the cap is held at each call. A call that failed puts nothing back, for it
    may have been charged.
    """

    def __init__(self, usd: float) -> None:
        self._left = usd
        self._closed = ""
        self._spent = f"not asked: the cap of {usd:.4g} USD is spent or bound"
        self._lock = Lock()

    def take(self, usd: float) -> str:
        """Take out so much; the reason in words where no call may start."""
        with self._lock:
            if not self._closed and usd <= self._left + 1e-9:  # the sum may round above the estimate
                self._left -= usd
                return ""
            return self._closed or self._spent

    def put_back(self, usd: float) -> None:
        with self._lock:
            self._left += usd

    def close(self, reason: str) -> None:
        with self._lock:
            self._closed = self._closed or reason
