"""What requests cost: an estimate before the first call, and a cap that is kept while they run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from threading import Lock

from safetune_utils.errors import SafetuneError
from safetune_utils.services.requests import Request, Service

# The service's tokenizer is not available here, so prompts are counted high: English has more than four bytes
# a token, other scripts about three; a chat template adds its own tokens to each message and may add a system
# message.
_BYTES_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 8
_TOKENS_PER_REQUEST = 24


@dataclass(frozen=True)
class Cost:
    """What asking would cost: an estimate for the prompts, which is high, and an upper bound for the replies.

    Attributes:
        calls: requests that the store has no reply to.
        already_there: requests that it has one to.
        prompt_tokens: of the calls, estimated.
        completion_tokens_at_most: the sum of their ``max_tokens``.
        usd_at_most: the price of both, in USD.
    """

    calls: int
    already_there: int
    prompt_tokens: int
    completion_tokens_at_most: int
    usd_at_most: float


def check_cap(ahead: Cost, *, cap_usd: float) -> None:
    """Refuse an estimate above the cap.

    Raises:
        SafetuneError: it is above; the message has both amounts.
    """
    if not ahead.usd_at_most <= cap_usd:
        raise SafetuneError(
            f"{ahead.calls} calls may cost up to {ahead.usd_at_most:.4g} USD, above the cap of "
            f"{cap_usd:.4g} USD: raise cap_usd, ask less, or lower max_tokens"
        )


def count_prompt_tokens(request: Request) -> int:
    """Tokens of a request's prompt, estimated from its bytes; for most texts the estimate is high."""
    texts = sum(
        math.ceil(len(message["content"].encode()) / _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE
        for message in request.messages
    )
    return texts + _TOKENS_PER_REQUEST


def usd_for(service: Service, prompt_tokens: int, completion_tokens: int) -> float:
    """What so many tokens cost, in USD."""
    return (
        prompt_tokens * service.usd_per_million_in + completion_tokens * service.usd_per_million_out
    ) / 1e6


def most_usd(request: Request, service: Service) -> float:
    """The most that a request may cost, in USD: with the estimate for its prompt and the longest reply."""
    return usd_for(service, count_prompt_tokens(request), request.max_tokens)


class Purse:
    """The money that may still be spent, shared by the threads.

    A call takes out the most that it may cost, and puts back what it did not cost. The estimate may be too
    low, so the cap is checked at each call. A call that failed puts nothing back, because the server may have
    charged for it.

    Args:
        usd: the cap, in USD.
    """

    def __init__(self, usd: float) -> None:
        self._left = usd
        self._closed = ""
        self._spent = f"not asked: the cap of {usd:.4g} USD is spent or bound"
        self._lock = Lock()

    def take(self, usd: float) -> str:
        """Take out an amount in USD; return why no call may start, in words, or an empty text."""
        with self._lock:
            if not self._closed and usd <= self._left + 1e-9:  # the sum may round above the estimate
                self._left -= usd
                return ""
            return self._closed or self._spent

    def put_back(self, usd: float) -> None:
        """Put back an amount in USD that was taken out and not spent."""
        with self._lock:
            self._left += usd

    def close(self, reason: str) -> None:
        """Let no further call start, for this reason; a later reason does not replace it."""
        with self._lock:
            self._closed = self._closed or reason
