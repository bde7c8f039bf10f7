"""How often one key or one client may ask: a sliding window, in memory."""

from __future__ import annotations

import ipaddress
import math
import time
from dataclasses import dataclass

from limits import RateLimitItem
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter


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


class Rates:
    """Counts requests by who sends them."""

    def __init__(self, items: tuple[RateLimitItem, ...]):
        self.items = items
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def count(self, who: str) -> Allowance | None:
        """Count one request, unless it is refused; None where there is no limit."""
        if not self.items:
            return None
        full = [item for item in self.items if not self._window.test(item, who)]
        for item in self.items if not full else ():
            self._window.hit(item, who)
        stats = {item: self._window.get_window_stats(item, who) for item in full or self.items}
        nearest = min(stats, key=lambda item: (stats[item].remaining / item.amount, -stats[item].reset_time))
        wait = max(1, math.ceil(stats[nearest].reset_time - time.time()))
        return Allowance(not full, nearest, stats[nearest].remaining, wait)


def client_name(address: str | None) -> str:
    """The client behind an address: for IPv6 its /64, which is what one client is assigned."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return f"client {address}"
    return f"client {ipaddress.ip_network((ip, 64), strict=False) if ip.version == 6 else ip}"
