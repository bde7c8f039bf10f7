"""API keys. The service holds their hashes; a key itself is seen once, by whoever makes it.

A key has 256 random bits, so its plain SHA-256 is as good as any slower hash: nobody can guess one.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lfi.errors import ConfigError

SCOPES = ("maps", "metrics")
"""`maps`: the page and the API; `metrics`: `/metrics`. Studies have invitations, their owner a token of her own."""

HOURS = 12
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Key:
    """What the service knows of a key: a name for the log, what it opens, and its hash."""

    name: str
    scopes: frozenset[str]
    digest: str

    def line(self) -> str:
        """As it stands in LFI_API_KEYS."""
        return f"{self.name}:{'+'.join(sorted(self.scopes))}:{self.digest}"


def new_key(name: str, scopes: Sequence[str]) -> tuple[str, Key]:
    """A new key: what its holder sends, and what the service is told.

    Raises:
        ConfigError: a name or scope that there cannot be.
    """
    secret = f"lfi_{secrets.token_urlsafe(32)}"
    try:
        (key,) = parse_keys(f"{name}:{'+'.join(scopes)}:{_digest(secret)}")
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return secret, key


def parse_keys(text: str) -> tuple[Key, ...]:
    """Keys as LFI_API_KEYS lists them: `NAME:SCOPE+SCOPE:SHA256`, with commas or spaces between.

    Raises:
        ValueError: one of them is written otherwise, or a name comes twice. The text is not repeated: somebody may
            have put a key itself there.
    """
    keys: list[Key] = []
    for number, entry in enumerate(re.split(r"[\s,]+", text.strip(" ,\n")) if text.strip(" ,\n") else [], start=1):
        name, scopes, digest = (*entry.split(":"), "", "")[:3]
        wrong = [scope for scope in scopes.split("+") if scope not in SCOPES]
        if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest) or entry.count(":") != 2:
            raise ValueError(f"entry {number} is not NAME:SCOPES:SHA256; `lfi keys new` writes one")
        if wrong:
            raise ValueError(f"key {name!r} has the scope {wrong[0]!r}; there are: {', '.join(SCOPES)}")
        keys.append(Key(name, frozenset(scopes.split("+")), digest))
    names = [key.name for key in keys]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two keys are named {twice[0]!r}")
    return tuple(keys)


class Keyring:
    """The keys of a running service, and the sessions of browsers that signed in with one.

    A session is a signed cookie; the signature's secret lives as long as the process.
    """

    def __init__(self, keys: Sequence[Key]):
        self._by_digest = {key.digest: key for key in keys}
        self._by_name = {key.name: key for key in keys}
        self._secret = secrets.token_bytes(32)

    def find(self, secret: str) -> Key | None:
        """The key that this is, or None."""
        return self._by_digest.get(_digest(secret))

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
            f"listening on {host} lets other machines in, so it needs a key: `lfi keys new` makes one for "
            "LFI_API_KEYS; LFI_AUTH=off goes without, where something else guards the port"
        )
    return bool(keys)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(where[0]).partition("%")[0]).is_loopback for *_, where in found)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
