"""Templates: ids in span names become placeholders before they cost a series."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_BOUNDARY = r"/\s?&=,;:()\[\]{}<>|\"'"
"""What separates tokens. A dot, a dash or an underscore does not: `/api/v1/trip2` and `order-service` stay."""

DEFAULT_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "{uuid}"),
    (r"[^\s@/?&=,;:]+@[^\s@/?&=,;:]+\.[A-Za-z]{2,}", "{email}"),
    (r"[0-9]+", "{id}"),
    (r"(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{16,}", "{hex}"),
)
"""Whole tokens and what stands for them: uuids, e-mail addresses, numbers, hex of 16 digits and more."""


class Templater:
    """Replaces whole tokens that are ids.

    Args:
        patterns: regular expressions of whole tokens with their placeholders, tried in order, the user's before ours.
        off_for: services whose names are left as they are.
        enabled: False leaves every name as it is.

    Raises:
        ValueError: for a pattern with a capturing group.

    >>> template = Templater()
    >>> template("shop", "GET /users/17/orders/4bf92f3577b34da6a3ce929d0e0e4736?mail=a@b.io")
    'GET /users/{id}/orders/{hex}?mail={email}'
    >>> template("shop", "POST /api/v1/trip2")
    'POST /api/v1/trip2'
    """

    def __init__(
        self, patterns: Sequence[tuple[str, str]] = (), off_for: Sequence[str] = (), *, enabled: bool = True
    ) -> None:
        for pattern, _ in patterns:
            if re.compile(pattern).groups:
                raise ValueError(f"pattern {pattern!r} has a capturing group: write (?:…) instead of (…)")
        rules = [*patterns, *DEFAULT_PATTERNS]
        self._placeholders = [placeholder for _, placeholder in rules]
        alternatives = "|".join(f"(?P<p{number}>{pattern})" for number, (pattern, _) in enumerate(rules))
        self._token = re.compile(f"(?<![^{_BOUNDARY}])(?:{alternatives})(?![^{_BOUNDARY}])")
        self._off_for = frozenset(off_for)
        self._enabled = enabled

    def _placeholder(self, match: re.Match[str]) -> str:
        group = match.lastgroup or "p0"
        return self._placeholders[int(group[1:])]

    def __call__(self, service: str, span_name: str) -> str:
        """The name without its ids."""
        if not self._enabled or service in self._off_for:
            return span_name
        return self._token.sub(self._placeholder, span_name)
