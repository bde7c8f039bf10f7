"""The keys of a running service, and whether it needs any."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence

from app.keys import Key, digest
from app.settings import is_loopback
from lfi.errors import ConfigError

HOURS = 12
"""How long a browser stays signed in."""


class Keyring:
    """The keys of a running service, and the sessions of browsers that signed in with one.

    A session is a signed cookie; the signature's secret lives as long as the process.
    """

    def __init__(self, keys: Sequence[Key]):
        self._by_digest = {key.digest: key for key in keys}
        self._by_name = {key.name: key for key in keys}
        self._secret = secrets.token_bytes(32)

    def find(self, secret: str) -> Key | None:
        """The key with this secret, or None."""
        return self._by_digest.get(digest(secret))

    def new_session(self, key: Key) -> str:
        """A cookie's value, good for twelve hours."""
        said = f"{key.name}.{int(time.time()) + HOURS * 3600}"
        return f"{said}.{self._signed(said)}"

    def of_session(self, cookie: str) -> Key | None:
        """The key that a browser signed in with; None where the cookie is not ours or has run out."""
        said, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signed(said).encode()):
            return None
        name, _, until = said.partition(".")
        return self._by_name.get(name) if int(until) > time.time() else None

    def _signed(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


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
