"""Settings: frozen, checked once, at the door; defaults that need no file.

`model.py` has the whole, `sections.py` its sections, `live.py` those of a live run, `properties.py` and `secrets.py`
what must not be seen, `frozen.py` what a state directory keeps. `document.py` reads YAML, `problems.py` words what is
wrong with it, `reference.py` describes all of it to people and editors.
"""

from __future__ import annotations

from flows.config.load import load, parse
from flows.config.model import Config

__all__ = ["Config", "load", "parse"]
