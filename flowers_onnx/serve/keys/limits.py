"""How often a caller may ask: GCRA, which needs one number for each.

The number is the theoretical arrival time: when the caller's next request would come if all came
evenly. Who is ahead of it by more than the burst allows has to wait. The state is this process's
own: behind N instances, a caller gets up to N times the rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from flowers_onnx.serve.keys import Authenticator, Caller
from flowers_onnx.serve.problems import Problem

#: Callers that are remembered.
MOST = 10_000


class RateLimit:
    """``rate`` requests a second for each caller, ``burst`` at once; one second's, if not said."""

    def __init__(
        self,
        rate: float,
        burst: int | None = None,
        *,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval, self._clock, self._most = 1 / rate, clock, most
        self._ahead = self._interval * (max(1, math.floor(rate) if burst is None else burst) - 1)
        self._arrivals: dict[str | None, float] = {}

    def take(self, caller: str | None) -> float:
        """0 if ``caller`` may ask now, which counts; else the seconds until he may."""
        now = self._clock()
        arrival = max(self._arrivals.get(caller, now), now)
        # Sums of intervals are a little more or less than what they stand for.
        if (wait := arrival - self._ahead - now) > 1e-9:
            return wait
        if caller not in self._arrivals and len(self._arrivals) >= self._most:
            self._forget(now)
        self._arrivals[caller] = arrival + self._interval
        return 0

    def __len__(self) -> int:
        return len(self._arrivals)

    def _forget(self, now: float) -> None:
        """Callers who are as good as new; if there are none, the one who asks least."""
        self._arrivals = {c: arrival for c, arrival in self._arrivals.items() if arrival > now}
        if len(self._arrivals) >= self._most:
            del self._arrivals[min(self._arrivals, key=self._arrivals.__getitem__)]


class RateLimited:
    """An ``Authenticator`` that also counts: each of its callers by himself, strangers not.

    Where nobody is asked who he is, all are one caller.
    """

    def __init__(self, inner: Authenticator, limit: RateLimit) -> None:
        self.kind, self._inner, self._limit = inner.kind, inner, limit

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        caller = await self._inner.caller(headers)
        if wait := self._limit.take(caller.id):
            seconds = str(math.ceil(wait))
            detail = f"too many requests of this caller; the next in {seconds} s"
            refused = Problem(429, "rate_limited", detail, {"Retry-After": seconds})
            refused.caller = caller.id
            raise refused
        return caller
