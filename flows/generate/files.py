"""Scenario files: one over another by `extends`, and what is wrong in them as sentences."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from flows.config.document import Document, path_text, read_document
from flows.errors import ConfigError, ConfigErrors, InputError, StreamgaugeError
from flows.generate.platform import Model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


def read_scenario(path: Path, seen: tuple[Path, ...] = ()) -> Document:
    """A file's values merged over those it extends; the lines are the file's own.

    Raises:
        InputError: A file cannot be read.
        ConfigErrors: A file is no YAML, no mapping, or extends itself.
    """
    if path.resolve() in seen:
        raise _refusal(path, "extends", "a file that in the end extends this one", hint="Take one `extends` out.")
    try:
        document = read_document(path.read_text(encoding="utf-8"), {})
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {error}", hint="Name a scenario file, such as datasets/demo.yaml."
        ) from None
    except ConfigError as error:
        raise ConfigErrors(str(path), (error,)) from None
    values = document.values
    if not isinstance(values, dict):
        raise _refusal(
            path, "", f"the file holds {type(values).__name__}", "a scenario is a mapping with services and traffic"
        )
    extends = values.pop("extends", None)
    if extends is None:
        return document
    below = read_scenario(path.parent / str(extends), (*seen, path.resolve()))
    return Document(_over(below.values, values), document.lines)


def _refusal(path: Path, where: str, found: str, expected: str = "", hint: str = "") -> ConfigErrors:
    return ConfigErrors(str(path), (ConfigError(where, found, expected, hint),))


def _over(base: object, top: object) -> object:
    """`top` over `base`: mappings merge, all else is replaced."""
    if not (isinstance(base, dict) and isinstance(top, dict)):
        return top
    return {**base, **{key: _over(base[key], value) if key in base else value for key, value in top.items()}}


def problems(error: ValidationError, lines: dict[tuple[str | int, ...], int]) -> tuple[ConfigError, ...]:
    """One error for each thing that is wrong, with its line where it stands in the file itself."""
    return tuple(_problem(each, lines) for each in error.errors(include_url=False))


def _problem(error: ErrorDetails, lines: dict[tuple[str | int, ...], int]) -> ConfigError:
    """One of pydantic's errors in our words."""
    path, kind = error["loc"], error["type"]
    place, line = path_text(path), lines.get(path)
    cause = error.get("ctx", {}).get("error")
    if kind == "extra_forbidden":
        return ConfigError(place, "no setting there", hint=_nearest(str(path[-1])), line=line)
    if kind == "missing":
        return ConfigError(place, "missing", "it has no default", line=line)
    if isinstance(cause, ConfigError):
        inner = ".".join(part for part in (place, cause.path) if part)
        return ConfigError(inner, cause.found, cause.expected, cause.hint, line)
    if isinstance(cause, StreamgaugeError):
        return ConfigError(place, cause.found, cause.expected, cause.hint, line)
    return ConfigError(place, _shown(error["input"]), error["msg"].removeprefix("Value error, "), line=line)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _nearest(key: str) -> str:
    """What a misspelt key may have meant."""
    known = sorted({name for model in _models(Model) for name in model.model_fields})
    near = difflib.get_close_matches(key, known, 1)
    return f"Did you mean {near[0]}?" if near else "Take it out."


def _models(base: type[Model]) -> Iterator[type[Any]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)
