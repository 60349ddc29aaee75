"""How fine histograms and quantiles are.

A file of its own, for who must know it and computes nothing, and so needs no compiler.
"""

from __future__ import annotations

SCALE = 5
"""Bins per doubling: 2^5. Frozen in every stored state."""

QUANTILE_UNIT = 1_000_000
"""Quantiles are integers in parts per million, so that ranks are exact."""
