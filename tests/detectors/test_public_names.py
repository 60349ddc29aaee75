"""`from detectors import …`: what a notebook takes, and what it does not cost whoever takes nothing."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import detectors


@pytest.mark.parametrize("name", detectors.__all__)
def test_a_public_name_is_what_its_module_has(name: str) -> None:
    (home,) = (home for home, names in detectors._HOMES.items() if name in names)
    assert getattr(detectors, name) is getattr(importlib.import_module(home), name)


def test_every_name_with_a_home_is_public_and_listed() -> None:
    assert sorted(detectors.__all__) == sorted(name for names in detectors._HOMES.values() for name in names)
    assert set(detectors.__all__) <= set(dir(detectors))


def test_no_public_name_is_also_a_module() -> None:
    """Else it were the one or the other, by what was imported first."""
    assert not set(detectors.__all__) & {module.name for module in pkgutil.iter_modules(detectors.__path__)}


def test_another_name_is_said_to_be_missing() -> None:
    with pytest.raises(AttributeError, match="module 'detectors' has no attribute 'Anomaly'"):
        detectors.Anomaly  # noqa: B018


def test_importing_detectors_loads_neither_compiler_nor_pandas() -> None:
    """The public names are listed all the same; detection itself needs the compiler, and still no pandas."""
    program = """
import sys
import detectors
dir(detectors), detectors.__all__
print({"numba", "llvmlite", "numpy", "pandas"} & set(sys.modules))
from detectors import detect
print({"numba", "pandas"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "{'numba'}"]
