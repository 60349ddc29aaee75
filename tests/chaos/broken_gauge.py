"""`streamgauge` with a decoder that dies, hangs or raises at a mark in a record; run as a script.

A worker process imports the main script again, under another name, so that what is replaced here is replaced there.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flows.decode import encodings

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from flows.records import Records

HANG_ONCE = b"hang-once"
DEATHS: dict[str, Callable[[], object]] = {
    "exit": lambda: os._exit(139),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exception": lambda: 1 // 0,
}
"""What a record with `die-by-<name>` in it does."""

AT_ONCE = "STREAMGAUGE_TEST_DIES_AT_ONCE"
HUNG = "STREAMGAUGE_TEST_HUNG"
"""Environment variables: workers die before they do anything; the file that says that one has hung before."""

_make = encodings.decoder


def _broken(*given: Any, **named: Any) -> Any:
    decoder = _make(*given, **named)
    decode = decoder.decode

    def dies(records: Records) -> Any:
        data = b"".join(map(records.payload, range(len(records))))
        for name, die in DEATHS.items():
            if f"die-by-{name}".encode() in data:
                die()
        if HANG_ONCE in data and not Path(os.environ[HUNG]).exists():
            Path(os.environ[HUNG]).touch()
            time.sleep(600)
        return decode(records)

    decoder.decode = dies
    return decoder


if __name__ in ("__main__", "__mp_main__"):  # the tests import its names, and keep their decoders
    encodings.decoder = _broken

if __name__ == "__mp_main__" and AT_ONCE in os.environ:
    os._exit(3)

if __name__ == "__main__":
    from flows.cli import main

    sys.exit(main())
