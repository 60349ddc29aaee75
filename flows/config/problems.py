"""What pydantic found wrong, as sentences for the person who wrote the file."""

from __future__ import annotations

import difflib
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel

from flows.config.document import Document, Path, path_text
from flows.errors import ConfigError, StreamgaugeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

EXPECTED = {
    "string_type": "it must be text: quote it",
    "int_type": "it must be a whole number",
    "float_type": "it must be a number",
    "bool_type": "it must be true or false",
    "tuple_type": "it must be a list",
    "dict_type": "it must be a section, with keys and values",
    "model_type": "it must be a section, with keys and values",
    "greater_than": "it must be more than {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than": "it must be less than {lt}",
    "less_than_equal": "it must be at most {le}",
    "too_short": "it must have at least {min_length}",
    "too_long": "it must have at most {max_length}",
    "string_too_short": "it must have at least {min_length} character",
    "string_pattern_mismatch": "it must match {pattern}",
    "literal_error": "it must be {expected}",
    "finite_number": "it must be a finite number",
}
"""Our words for pydantic's kinds of error; other kinds keep pydantic's words."""


def problems(error: ValidationError, document: Document, root: type[BaseModel]) -> tuple[ConfigError, ...]:
    """One error for each thing that is wrong, in the order of the file where lines are known.

    A value that the environment gave is not quoted, for it may be a secret that went to the wrong place.

    `root` is the model that refused, for the keys that it knows. What is wrong with a whole because of a part ("the
    list is too short" without its broken item) is left out.
    """
    errors = error.errors(include_url=False)
    causes = {each["loc"][:n] for each in errors for n in range(len(each["loc"]))}
    found = [_problem(each, document, root) for each in errors if each["loc"] not in causes]
    return tuple(sorted(found, key=lambda each: each.line or 0))


def _problem(error: ErrorDetails, document: Document, root: type[BaseModel]) -> ConfigError:
    """One of pydantic's errors in our words."""
    path: Path = error["loc"]
    kind, context = error["type"], error.get("ctx", {})
    cause = context.get("error")
    if kind == "extra_forbidden":
        return _unknown_key(path, _line(path, document.lines), root)
    if kind == "missing":
        return ConfigError(path_text(path), "missing", "it has no default", line=_line(path, document.lines))
    if isinstance(cause, ConfigError):
        path = (*path, *_split(cause.path))
    where, line = path_text(path) or "the file", _line(path, document.lines)
    if path in document.interpolated:
        return ConfigError(
            where, document.interpolated[path], _expected(error), "Look at what the variable holds.", line
        )
    if isinstance(cause, StreamgaugeError):
        return ConfigError(where, cause.found, cause.expected, cause.hint, line)
    return ConfigError(where, _shown(error["input"]), _expected(error), line=line)


def _expected(error: ErrorDetails) -> str:
    """What should be there instead."""
    context = error.get("ctx", {})
    if isinstance(cause := context.get("error"), StreamgaugeError):
        return cause.expected
    return EXPECTED[error["type"]].format(**context) if error["type"] in EXPECTED else error["msg"]


def _split(path: str) -> Path:
    """The parts of a path's text that a check raised: `windows[1]` → ("windows", 1)."""
    if not path:
        return ()
    parts = path.replace("]", "").replace("[", ".").split(".")
    return tuple(int(part) if part.isdigit() else part for part in parts)


def _line(path: Path, lines: dict[Path, int]) -> int | None:
    """Where the value stands, or else what it should stand in."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _shown(value: object) -> str:
    """A value as the file would have it, short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "empty"
    if isinstance(value, dict | BaseModel):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _unknown_key(path: Path, line: int | None, root: type[BaseModel]) -> ConfigError:
    """A key that is none, with the nearest that is one, or all of them."""
    key, known = str(path[-1]), sorted(_keys(path[:-1], root))
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
    place = f"in {path_text(path[:-1])}" if len(path) > 1 else "at the top"
    return ConfigError(path_text(path), f"no setting {place}", hint=hint, line=line)


def _keys(path: Path, root: type[BaseModel]) -> Iterator[str]:
    """The keys that the section at a path may have, as the file writes them."""
    section: Any = root
    for part in path:
        if isinstance(section, type) and issubclass(section, BaseModel):
            section = next((f.annotation for f in section.model_fields.values() if f.alias == part), None)
        else:
            section = get_args(section)[0 if isinstance(part, int) else 1]
        section = _model(section) or section
    if isinstance(section, type) and issubclass(section, BaseModel):
        yield from (field.alias or name for name, field in section.model_fields.items())


def _model(annotation: Any) -> type[BaseModel] | None:
    """The one section inside an annotation such as `Annotated[Section, …]` or `Section | None`."""
    while annotation is not None and hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        return next((section for each in get_args(annotation) if (section := _model(each))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
