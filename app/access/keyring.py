"""The keys of a running service, and whether it needs any."""

from __future__ import annotations

import time
from collections.abc import Sequence

from app.keys import Key, digest
from app.settings import is_loopback
from app.web.sessions import Sessions
from lfi.errors import ConfigError

HOURS = 12
"""How long a browser stays signed in."""


class Keyring:
    """The keys of a running service, and the sessions of browsers that signed in with one.

    A session is a signed cookie (`app.web.sessions`).
    """

    def __init__(self, keys: Sequence[Key]):
        self._by_digest = {key.digest: key for key in keys}
        self._by_name = {key.name: key for key in keys}
        self._sessions = Sessions(HOURS)

    def find(self, secret: str) -> Key | None:
        """The key with this secret, or None."""
        return self._by_digest.get(digest(secret))

    def new_session(self, key: Key) -> str:
        """A cookie's value, good for twelve hours."""
        return self._sessions.new(key.name, time.time())

    def of_session(self, cookie: str) -> Key | None:
        """The key that a browser signed in with; None where the cookie is not ours, has run out, or was ended."""
        name = self._sessions.holder(cookie, time.time())
        return None if name is None else self._by_name.get(name)

    def end_session(self, cookie: str) -> None:
        """The browser signs out."""
        self._sessions.end(cookie, time.time())


def keys_are_asked_for(auth: str, keys: Sequence[Key], host: str) -> bool:
    """Whether requests need a key: where there is one, or other machines can reach us. LFI_AUTH=off says no.

    Raises:
        ConfigError: other machines can reach us and there is no key.
    """
    if auth == "off":
        return False
    if not keys and not is_loopback(host):
        raise ConfigError(
            f"listening on {host} admits other machines, which requires a key: `lfi keys new` makes one for "
            "LFI_API_KEYS; LFI_AUTH=off needs none, for when something else guards the port"
        )
    return bool(keys)
