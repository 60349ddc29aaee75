"""Compiled kernels from a folder that cannot be written, for the container image.

numba takes a cache folder only if it can write a file there, and fails at import if it finds no other. An image's root
file system is read-only, and what it holds is complete. `NUMBA_CACHE_LOCATOR_CLASSES` names this class; it stands in a
file of its own because numba itself imports it, before any of ours.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba.core import caching


class ReadOnlyCache(caching.UserProvidedCacheLocator):
    """The folder of `numba.config.CACHE_DIR`, whether it can be written or not."""

    def ensure_cache_path(self) -> None:
        """Make the folder where that is possible: when the image is built."""
        with suppress(OSError):
            Path(self.get_cache_path()).mkdir(parents=True, exist_ok=True)  # type: ignore[no-untyped-call]


class _Forgiving(caching.IndexDataCacheFile):
    """Files of compiled code, whose loss costs a compilation and not the process."""

    def save(self, key: Any, data: Any) -> None:
        """Write what was compiled, or say that it could not be."""
        try:
            super().save(key, data)  # type: ignore[no-untyped-call]
        except OSError as error:
            warnings.warn(f"a kernel that the image should hold is compiled at every start: {error}", stacklevel=2)


# numba has an option for where the files are and none for what they do; without this a kernel that was forgotten when
# the image was built would end the worker that needs it, again and again.
caching.IndexDataCacheFile = _Forgiving  # type: ignore[misc]
