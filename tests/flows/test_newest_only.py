"""A live page has no past: what closes at once is shown as it stands at the end, which is what each step would show."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.shard import Closed
from tests.flows import test_exactness as exactness
from tests.oracle import oracle


class Newest(exactness.Engine):
    """An engine whose shards show only the end of what they close."""

    def _note(self, shard: int, closed: Closed) -> None:
        for segment in closed.segments[:-1]:
            assert segment.counters is None
        for segment in closed.segments:
            for slot in segment.ended:
                self.counters.pop(self.labels.pop((shard, slot)), None)
            for opened in segment.opened:
                self.labels[shard, opened.slot] = opened.labels
        if closed.segments:
            last = replace(closed.segments[-1], ended=[], opened=[])
            super()._note(shard, replace(closed, segments=[last]))


@given(st.integers(0, 2**32), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_what_is_shown_is_what_every_step_shows(what: int, how: int) -> None:
    """Counters at the end equal the oracle's; each window that is shown equals the oracle's of that moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exactness, "WINDOW_RULES", replace(exactness.WINDOW_RULES, newest_only=True))
        partitions = exactness.stream(what)
        found = Newest(partitions, random.Random(how), replace(exactness.rules(), newest_only=True)).run()
    wanted = oracle(partitions, exactness.ASKED)
    assert found.counters == wanted.counters
    assert found.fates == +wanted.fates
    assert found.windows.items() <= wanted.windows.items()
    newest: dict[tuple[str, str], int] = {}
    for end, _, operation in wanted.windows:
        newest[operation] = max(end, newest.get(operation, 0))
    for key, value in wanted.windows.items():
        if key[1] in exactness.SHORT and key[0] == max(newest.values()):
            assert found.windows[key] == value
