"""Objects by kind and name, over all files."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flows.slo.documents import Findings, Placed
    from flows.slo.place import Place
    from flows.slo.schema import AnyObject

T = TypeVar("T", bound="AnyObject")


class References:
    """What can be named; a name stands once in each kind, whatever the file."""

    def __init__(self, objects: Iterable[Placed], findings: Findings) -> None:
        """Take all objects, and note those whose kind and name are taken."""
        self._objects: dict[tuple[str, str], Placed] = {}
        self._used: set[tuple[str, str]] = set()
        for each in objects:
            key = (each.object.kind, each.object.metadata.name)
            first = self._objects.setdefault(key, each)
            if first is not each:
                place = each.place.at("metadata", "name")
                expected = f"another {key[0]} has that name, at {first.place.at('metadata', 'name').source}"
                findings.problems.append(place.refuse(repr(key[1]), expected, "Give one of them another."))

    def of(self, kind: type[T]) -> tuple[tuple[T, Place], ...]:
        """All objects of a kind, in order."""
        return tuple((each.object, each.place) for each in self._objects.values() if isinstance(each.object, kind))

    def find(self, kind: type[T], name: str, place: Place) -> tuple[T, Place]:
        """The object that is called so, for the reference that stands at `place`.

        Raises:
            SloError: There is none.
        """
        found = self._objects.get((kind.__name__, name))
        if found is None or not isinstance(found.object, kind):
            near = difflib.get_close_matches(name, [key[1] for key in self._objects if key[0] == kind.__name__], n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Write one ({kind.__name__}), or name its file too."
            raise place.refuse(repr(name), f"no {kind.__name__} of these files is called so", hint)
        self._used.add((kind.__name__, name))
        return found.object, found.place

    def mark(self, kind: type[T], name: str) -> None:
        """Say that an object is used, if it is there at all."""
        self._used.add((kind.__name__, name))

    def unused(self) -> tuple[Placed, ...]:
        """Objects that nothing has asked for."""
        return tuple(each for key, each in self._objects.items() if key not in self._used)
