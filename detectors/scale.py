"""How fine histograms are: a file of its own, for who must know it and computes nothing, and so needs no compiler."""

from __future__ import annotations

SCALE = 5
"""Bins per doubling: 2^5. Frozen in every stored state."""
