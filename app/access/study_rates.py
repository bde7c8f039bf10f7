"""How often raters' pages may ask, by address and by browser: an invitation opens them, and no key guards them.

The limits hold on this machine alone, too: what comes from here may come through a proxy.
"""

from __future__ import annotations

import hashlib

from starlette.requests import Request

from app.access.rates import Allowance, Rates, client_name
from app.limits import parse_rates

_PAGES = ("/study", "/study/")
_BELOW = ("/study/api/", "/study/pictures/", "/s/")
"""Not what a page is made of: a shell may load a hundred files at once."""


class StudyRates:
    """Counts what raters' browsers send.

    Args:
        by_address, by_browser: how often one address may ask, and one that is signed in: `20/second; 600/minute`.
        cookie: the name of the cookie by which a browser is signed in.
    """

    def __init__(self, by_address: str, by_browser: str, cookie: str):
        self.by_address = Rates(parse_rates(by_address))
        self.by_browser = Rates(parse_rates(by_browser))
        self.cookie = cookie

    def refusal(self, request: Request, path: str) -> Allowance | None:
        """Count a request; the limit that it exceeds, if it does.

        Args:
            path: below the service's root.
        """
        if path not in _PAGES and not path.startswith(_BELOW):
            return None
        allowance = self.by_address.count(client_name(request.client and request.client.host))
        secret = request.cookies.get(self.cookie)
        if secret and (allowance is None or allowance.allowed):  # an address makes up no more browsers than it may ask
            allowance = self.by_browser.count(hashlib.sha256(secret.encode()).hexdigest())
        return None if allowance is None or allowance.allowed else allowance
