"""Parts that cross to another process, as the dataflow engine sends them."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest

from flows.fold import CELL_COLUMNS, ROW_COLUMNS, Partial, Sender
from flows.part import Part
from flows.records import Partition
from flows.series import SeriesLabels, hash_order
from flows.watermark import PartitionProgress, Progress

PROGRESS = Progress(3, (PartitionProgress(Partition("t\udc80", 3), 23, 2, 4, 10),), ended=True)


def partial(rng: random.Random, n_rows: int, n_cells: int) -> Partial:
    """Columns of random bits: nothing of them may be lost."""
    columns = {
        name: np.frombuffer(bytearray(rng.randbytes(n * dtype.itemsize)), dtype)
        for of, n in ((ROW_COLUMNS, n_rows), (CELL_COLUMNS, n_cells))
        for name, dtype in of.items()
    }
    new = [hash_order(SeriesLabels("s", f"é\udc80 {i}", 2, 1, ())) for i in range(n_rows)]
    return Partial(Sender(rng.randbytes(8), 7), new, 5, **columns)


@pytest.mark.parametrize(("n_rows", "n_cells"), [(0, 0), (1, 1), (3, 8), (1000, 7)])
def test_a_part_arrives_as_it_was_sent(n_rows: int, n_cells: int) -> None:
    """Also the second time, and writable, as the kernels of the receiver expect it."""
    sent = partial(random.Random(n_rows), n_rows, n_cells)
    for _ in range(2):
        progress, found, key = pickle.loads(pickle.dumps(Part(PROGRESS, sent, "07")))
        assert (progress, key) == (PROGRESS, "07")
        assert (found.sender, found.new, found.first_new) == (sent.sender, sent.new, sent.first_new)
        for name, dtype in (ROW_COLUMNS | CELL_COLUMNS).items():
            column = getattr(found, name)
            assert column.dtype == dtype
            assert column.flags.writeable
            assert column.flags.aligned
            assert column.tobytes() == getattr(sent, name).tobytes()


def test_a_part_may_have_no_partial_and_no_progress() -> None:
    later = PROGRESS._replace(slot=4)
    for part in (Part(None, None, "01"), Part(PROGRESS, None, "02"), Part(later, None, "02"), Part(None, None)):
        assert pickle.loads(pickle.dumps(part)) == part
