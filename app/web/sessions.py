"""Cookies of people who signed in: signed, good for some hours, and worth nothing once their holder has signed out."""

from __future__ import annotations

import hashlib
import hmac
import secrets


class Sessions:
    """The signature's secret lives as long as the process, so a restart signs everybody out.

    Args:
        hours: how long a browser stays signed in.
    """

    def __init__(self, hours: float):
        self.seconds = int(hours * 3600)
        self._secret = secrets.token_bytes(32)
        self._ended: dict[str, int] = {}  # and when they would have run out

    def new(self, name: str, now: float) -> str:
        """A cookie's value for the holder of this name, which has no dot in it.

        Args:
            now: seconds since 1970, here and below.
        """
        said = f"{name}.{int(now) + self.seconds}.{secrets.token_hex(8)}"
        return f"{said}.{self._signed(said)}"

    def holder(self, cookie: str, now: float) -> str | None:
        """Whose cookie this is; None where it is not ours, has run out, or was ended."""
        said, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signed(said).encode()) or cookie in self._ended:
            return None
        name, until, _ = said.split(".")
        return name if int(until) > now else None

    def proof(self, cookie: str) -> str:
        """What forms carry that this cookie's browser was given, and no other site knows."""
        return self._signed(f"csrf {cookie}")

    def end(self, cookie: str, now: float) -> None:
        """Nobody is signed in with this cookie any more, wherever a copy of it is."""
        if self.holder(cookie, now) is not None:
            self._ended = {each: until for each, until in self._ended.items() if until > now}
            self._ended[cookie] = int(cookie.split(".")[1])

    def _signed(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
