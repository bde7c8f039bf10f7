"""API keys. The service holds their hashes; a key itself is shown once, when it is made.

A key has 256 random bits, so its plain SHA-256 is as good as any slower hash: nobody can guess one.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from lfi.errors import ConfigError

SCOPES = ("maps", "metrics")
"""`maps`: the page and the API; `metrics`: `/metrics`. Studies have invitations, and their owners tokens."""
ROLES = ("owner", "analyst")
"""Of people at `/admin`: an owner runs studies; an analyst sees and exports them, and changes nothing."""

RESERVED = ("owner", "cli", "rule", "export", "page")
"""Names no account may have. In audit trails: the holder of `admin_token`, commands, the plan's rules; exports and
pages of older versions."""

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


def new_key(name: str, scopes: Sequence[str], known: Sequence[str] = SCOPES) -> tuple[str, Key]:
    """A new key: what its holder sends, and what the service stores.

    Args:
        known: what there is to open; `ROLES` for an account at `/admin`.

    Raises:
        ConfigError: an invalid name, scope or role.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"the name is {name!r}; 1 to 40 letters, digits, dashes and underscores were expected")
    secret = f"lfi_{secrets.token_urlsafe(32)}"
    try:
        (key,) = parse_keys(f"{name}:{'+'.join(scopes)}:{digest(secret)}", known)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return secret, key


def parse_keys(text: str, known: Sequence[str] = SCOPES) -> tuple[Key, ...]:
    """Keys as LFI_API_KEYS lists them: `NAME:SCOPE+SCOPE:SHA256`, with commas or spaces between.

    Args:
        known: as in `new_key`.

    Raises:
        ValueError: one of them is written otherwise, or a name comes twice or is reserved. The text is not repeated:
            somebody may have put a key itself there.
    """
    keys: list[Key] = []
    for number, entry in enumerate(re.split(r"[\s,]+", text.strip(" ,\n")) if text.strip(" ,\n") else [], start=1):
        name, scopes, digest = (*entry.split(":"), "", "")[:3]
        wrong = [scope for scope in scopes.split("+") if scope not in known]
        if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest) or entry.count(":") != 2:
            command = "lfi keys owner" if known == ROLES else "lfi keys new"
            raise ValueError(f"entry {number} is not NAME:SCOPES:SHA256; `{command}` writes one")
        if wrong:
            whose = f"account {name!r} has the role" if known == ROLES else f"key {name!r} has the scope"
            raise ValueError(f"{whose} {wrong[0]!r}; there are: {', '.join(known)}")
        if known == ROLES and name in RESERVED:
            raise ValueError(f"{name!r} is a name that audit trails use; choose another")
        keys.append(Key(name, frozenset(scopes.split("+")), digest))
    names = [key.name for key in keys]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two keys are named {twice[0]!r}")
    return tuple(keys)


def digest(secret: str) -> str:
    """What the service knows of a key instead of the key."""
    return hashlib.sha256(secret.encode()).hexdigest()
