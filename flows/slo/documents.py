"""Files of promises → checked objects of the seven kinds, each with its place."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from flows.config.document import Document, read_document
from flows.config.problems import problems
from flows.config.scalars import FROM_FILE
from flows.errors import ConfigError, InputError
from flows.slo.place import Place, SloError
from flows.slo.schema import KINDS, AnyObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

API_VERSION = "openslo/v1"

_BOUNDARY = re.compile(r"^---(?=\s|$)", re.MULTILINE)


class Placed(NamedTuple):
    """An object and where it stands."""

    object: AnyObject
    place: Place


@dataclass
class Findings:
    """What is wrong and what is ignored, gathered so that one look at the files can mend it all."""

    problems: list[SloError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def expand(patterns: Iterable[str | Path]) -> tuple[Path, ...]:
    """The files that paths and globs name, each once, in the order of the patterns and then of their names.

    Raises:
        InputError: A pattern names none.
    """
    files: dict[Path, None] = {}
    for pattern in patterns:
        found = sorted(glob.glob(str(pattern), recursive=True))  # noqa: PTH207  Path.glob takes no absolute pattern
        if not found:
            raise InputError(
                f"{pattern} names no file", "promises are in OpenSLO files", "Write a path, or slos/*.yaml."
            )
        for each in found:
            if Path(each).is_dir():
                raise InputError(
                    f"{each} is a directory", "promises are in files", f"Write '{each.rstrip('/')}/*.yaml'."
                )
            files[Path(each)] = None
    return tuple(files)


def read_objects(path: Path, environment: Mapping[str, str], findings: Findings) -> Iterator[Placed]:
    """The objects of one file that are each well-formed; what is wrong with the others is gathered.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="Name a YAML file that can be read.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text", hint="Name a YAML file.") from error
    yield from parse_objects(text, str(path), environment, findings)


def parse_objects(text: str, file: str, environment: Mapping[str, str], findings: Findings) -> Iterator[Placed]:
    """The same of a text: several documents, each one object or a list of them."""
    for above, part in _documents(text):
        try:
            document = read_document(part, environment)
        except ConfigError as error:
            findings.problems.append(_in_file(file, error, above))
            continue
        document = document._replace(lines={path: line + above for path, line in document.lines.items()})
        if document.values == {}:
            continue
        listed = isinstance(document.values, list)
        for i, values in enumerate(document.values if isinstance(document.values, list) else [document.values]):
            place = Place(file, document.lines, (i,) if listed else ())
            try:
                yield Placed(_checked(values, document, place), place)
            except _Several as several:
                findings.problems += several.problems
            except SloError as problem:
                findings.problems.append(problem)


class _Several(Exception):  # noqa: N818  it carries errors and is none
    def __init__(self, found: list[SloError]) -> None:
        self.problems = found


def _documents(text: str) -> Iterator[tuple[int, str]]:
    """Each document of a YAML text, and how many lines stand above it.

    A line that begins with `---` is a boundary wherever it stands: YAML allows no such line inside a value.
    """
    starts = [match.start() for match in _BOUNDARY.finditer(text)]
    if not starts or text[: starts[0]].strip():
        starts.insert(0, 0)
    above = text.count("\n", 0, starts[0])
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield above, text[start:end]
        above += text.count("\n", start, end)


def _checked(values: object, document: Document, place: Place) -> AnyObject:
    """One object, its kind's model applied."""
    if not isinstance(values, dict):
        raise place.refuse("not an object of OpenSLO", "one has apiVersion, kind, metadata and spec")
    version, kind = values.get("apiVersion"), values.get("kind")
    if version != API_VERSION:
        written = repr(version) if version else "missing"
        hint = f"Write apiVersion: {API_VERSION}."
        raise place.at("apiVersion").refuse(written, "streamgauge reads the first stable version", hint)
    if kind not in KINDS:
        raise place.at("kind").refuse(repr(kind) if kind else "missing", f"the kinds are {', '.join(KINDS)}")
    try:
        return KINDS[kind].model_validate(values, by_alias=True, by_name=False, context=FROM_FILE)
    except ValidationError as error:
        own = _below(document, place.base, values)
        found = [_in_file(place.file, each) for each in problems(error, own, KINDS[kind])]
        raise _Several(found) from None


def _below(document: Document, base: tuple[str | int, ...], values: object) -> Document:
    """One object of a document as a document of its own, the lines those of the file."""
    n = len(base)
    lines = {path[n:]: line for path, line in document.lines.items() if path[:n] == base}
    interpolated = {path[n:]: text for path, text in document.interpolated.items() if path[:n] == base}
    return Document(values, lines, interpolated)


def _in_file(file: str, error: ConfigError, above: int = 0) -> SloError:
    """An error of the configuration's readers, the lines above its document added."""
    line = error.line + above if error.line else None
    return SloError(file, error.path, error.found, error.expected, error.hint, line)
