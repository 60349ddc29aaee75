"""What is never shown: which settings are secrets, and text that came from the environment."""

from __future__ import annotations

import re

HIDDEN = "<hidden>"
"""Stands wherever a secret would."""

_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|credential|key.?pem|private.?key|jaas|oauthbearer.config", re.I
)
_CREDENTIALS_IN_URL = re.compile(r"//[^/\s]*@")


class FromEnvironment(str):
    """Text that `${NAME}` gave, wholly or in part, where a secret may stand: kept as it was, shown to nobody."""

    __slots__ = ()


def is_secret(name: str, value: str = "") -> bool:
    """Whether a setting of that name, or with that value, must not be shown.

    Names are judged by what they contain, for a property of a later librdkafka must be hidden too: to hide one too many
    costs little. A URL with a user and a password is a secret whatever its name.

    >>> is_secret("sasl.password"), is_secret("ssl.key.pem"), is_secret("ssl.ca.location")
    (True, True, False)
    >>> is_secret("https.proxy", "http://user:word@proxy"), is_secret("https.proxy", "http://proxy")
    (True, False)
    """
    return bool(_SECRET_NAME.search(name) or _CREDENTIALS_IN_URL.search(value))
