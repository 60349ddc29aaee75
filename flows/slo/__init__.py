"""Promises: OpenSLO files read into plain values that the stream is measured by.

`openslo.py` is the way in: `load` reads files, checks them and resolves names. `schema.py` has the seven kinds as they
are written, `promise.py` what comes out, `selector.py` which series count; `fields.py` says for every field of the
schema whether it is honoured, ignored or refused.
"""

from __future__ import annotations

from flows.slo.openslo import load, parse
from flows.slo.promise import Indicator, Promise, Promises, Verdict
from flows.slo.selector import Selector

__all__ = ["Indicator", "Promise", "Promises", "Selector", "Verdict", "load", "parse"]
