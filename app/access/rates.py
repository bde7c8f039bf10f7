"""How often one key or one client may ask: a sliding window, in memory."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import deque
from dataclasses import dataclass
from itertools import takewhile

from limits import RateLimitItem

_CLIENTS = 100_000
"""That are known at a time."""


@dataclass(frozen=True)
class Allowance:
    """Whether a request is allowed now, and how many are left.

    Attributes:
        item: the limit with the fewest requests left.
        remaining: requests that are left of it.
        wait: whole seconds until one more is; at least 1.
    """

    allowed: bool
    item: RateLimitItem
    remaining: int
    wait: int

    def headers(self) -> dict[str, str]:
        """As the IETF's draft on rate limit headers for HTTP names them."""
        return {
            "RateLimit-Policy": f'"default";q={self.item.amount};w={self.item.get_expiry()}',
            "RateLimit": f'"default";r={self.remaining};t={self.wait}',
        }

    def detail(self) -> str:
        """For a client that was refused."""
        return f"more than {self.item} from here; try again in {self.wait} s"


class _Window:
    """When each client asked, as far as one limit looks back. Who has not asked since then is forgotten.

    Args:
        most: clients; of any more, the one that has been silent longest is forgotten.
    """

    def __init__(self, item: RateLimitItem, most: int):
        self.item, self.seconds, self.most = item, item.get_expiry(), most
        self._asked: dict[str, deque[float]] = {}  # the longest silent first

    def __len__(self) -> int:
        return len(self._asked)

    def asked(self, who: str, now: float) -> deque[float]:
        """When this client asked, the requests that count now."""
        since = now - self.seconds
        for silent in list(takewhile(lambda each: self._asked[each][-1] < since, self._asked)):
            del self._asked[silent]
        times = self._asked.get(who, deque())
        while times and times[0] < since:
            times.popleft()
        return times

    def add(self, who: str, now: float) -> None:
        """Count one more."""
        times = self._asked.pop(who, deque())
        times.append(now)
        self._asked[who] = times
        if len(self._asked) > self.most:
            del self._asked[next(iter(self._asked))]


class Rates:
    """Counts requests by who sends them."""

    def __init__(self, items: tuple[RateLimitItem, ...], most: int = _CLIENTS):
        self.items = items
        self._windows = [_Window(item, most) for item in items]

    def count(self, who: str) -> Allowance | None:
        """Count one request, unless it is refused; None where there is no limit."""
        if not self.items:
            return None
        now = time.monotonic()
        full = [each for each in self._windows if len(each.asked(who, now)) >= each.item.amount]
        for window in self._windows if not full else ():
            window.add(who, now)
        stats = []
        for window in full or self._windows:
            times = window.asked(who, now)
            stats.append((window.item, window.item.amount - len(times), (times[0] if times else now) + window.seconds))
        nearest, remaining, until = min(stats, key=lambda each: (each[1] / max(each[0].amount, 1), -each[2]))
        return Allowance(not full, nearest, remaining, max(1, math.ceil(until - now)))


def client_name(address: str | None) -> str:
    """The client behind an address: for IPv6 its /64, which is what one client is assigned."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return f"client {address}"
    return f"client {ipaddress.ip_network((ip, 64), strict=False) if ip.version == 6 else ip}"
