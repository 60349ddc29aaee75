"""Open panes: what is taken of them, and what is left, is what was there."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.fold import CELL_COLUMNS, ROW_COLUMNS
from flows.panes import OpenPanes

AT = list(ROW_COLUMNS).index("at")


def _some(n_rows: int, n_panes: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, 1 << 30, n_rows).astype(dtype) for dtype in ROW_COLUMNS.values()]
    rows[AT] = rng.integers(0, n_panes, n_rows)
    n_cells = 3 * n_rows
    cells = [rng.integers(0, 1 << 15, n_cells).astype(dtype) for dtype in CELL_COLUMNS.values()]
    cells[0] = rng.integers(0, max(n_rows, 1), n_cells).astype(np.int32)
    return rows, cells


@given(st.integers(0, 200), st.integers(1, 9), st.integers(0, 10), st.integers(0, 2**32 - 1))
def test_what_is_due_is_taken_by_pane_with_its_cells_and_the_others_stay_in_the_order_they_had(
    n_rows: int, n_panes: int, upto: int, seed: int
) -> None:
    rows, cells = _some(n_rows, n_panes, seed)
    opened = OpenPanes()
    opened.restore(dict(zip((*ROW_COLUMNS, *CELL_COLUMNS), (*rows, *cells), strict=True)))
    taken = opened.take(upto)

    due = sorted((i for i in range(n_rows) if rows[AT][i] < upto), key=lambda i: rows[AT][i])
    for name, column in zip(ROW_COLUMNS, rows, strict=True):
        assert getattr(taken, name).tolist() == [column[i] for i in due]
    for place, i in enumerate(due):
        its = slice(taken.cell_starts[place], taken.cell_starts[place + 1])
        assert taken.cell[its].tolist() == cells[1][cells[0] == i].tolist()
        assert taken.cell_weight[its].tolist() == cells[2][cells[0] == i].tolist()

    stays = [i for i in range(n_rows) if rows[AT][i] >= upto]
    left = opened.snapshot()
    for name, column in zip(ROW_COLUMNS, rows, strict=True):
        assert left[name].tolist() == [column[i] for i in stays]
    kept = [i for i in range(len(cells[0])) if cells[0][i] in stays]
    assert left["cell_row"].tolist() == [stays.index(cells[0][i]) for i in kept]
    assert left["cell"].tolist() == cells[1][kept].tolist()
    assert left["cell_weight"].tolist() == cells[2][kept].tolist()
    assert len(opened) == len(stays)
