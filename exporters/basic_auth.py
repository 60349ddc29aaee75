"""Basic authentication (RFC 7617) against bcrypt hashes, as Prometheus' exporters do it.

bcrypt is slow by design, some 50 ms at cost 10: a password that was right is remembered, as a keyed digest in memory,
so that only the first scrape pays. A name that is not known takes as long as one that is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from typing import TYPE_CHECKING

import bcrypt

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST = 72  # bytes of a password that bcrypt reads; a longer one is none that it can have hashed


class BasicAuth:
    """Who may read.

    >>> auth = BasicAuth({"ana": bcrypt.hashpw(b"tide", bcrypt.gensalt(4)).decode()})
    >>> header = "Basic " + base64.b64encode(b"ana:tide").decode()
    >>> auth.remembers(header), auth.check(header), auth.remembers(header)
    (False, True, True)

    Args:
        users: bcrypt hashes by user name, at least one.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._hashes = {name: hashed.encode() for name, hashed in users.items()}
        # Of the highest cost in use, or an unknown name would be told by its faster refusal.
        dearest = max(int(hashed[4:6]) for hashed in self._hashes.values())
        self._decoy = bcrypt.hashpw(os.urandom(16), bcrypt.gensalt(dearest))
        self._key = os.urandom(32)
        self._right: dict[str, bytes] = {}

    def remembers(self, authorization: str) -> bool:
        """Whether this very password was right before. Fast.

        Args:
            authorization: The Authorization header, empty where there is none.
        """
        credentials = parse(authorization)
        if credentials is None:
            return False
        user, password = credentials
        return hmac.compare_digest(self._right.get(user, b""), self._digest(password))

    def check(self, authorization: str) -> bool:
        """Whether the header names a user and the user's password. Slow, so not for an event loop."""
        if self.remembers(authorization):
            return True
        credentials = parse(authorization)
        if credentials is None:
            return False
        user, password = credentials
        hashed = self._hashes.get(user, self._decoy)
        try:
            right = bcrypt.checkpw(password[:_LONGEST], hashed)
        except ValueError:  # a NUL byte
            right = False
        if not right or user not in self._hashes or len(password) > _LONGEST:
            return False
        self._right[user] = self._digest(password)
        return True

    def _digest(self, password: bytes) -> bytes:
        return hashlib.blake2b(password, key=self._key, digest_size=32).digest()


def parse(authorization: str) -> tuple[str, bytes] | None:
    """User and password of an Authorization header, None if it has no such.

    >>> parse("Basic YW5hOnRpZGU="), parse("Bearer x"), parse("Basic !"), parse("")
    (('ana', b'tide'), None, None, None)
    """
    scheme, _, text = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(text.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):  # UnicodeDecodeError is one
        return None
