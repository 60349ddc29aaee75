"""Dimensions as the file has them → dimensions as decoders take them, each with a label that no other has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.labels import check_label_name, label_name
from flows.decode.batch import Dimension, Level, Wanted
from flows.errors import ConfigError

if TYPE_CHECKING:
    from flows.config.sections import DimensionSetting


def decoder_dimensions(settings: tuple[DimensionSetting, ...]) -> tuple[Dimension, ...]:
    """One `Dimension` for each setting, in their order.

    Raises:
        ConfigError: Two of them would have one label, or a label cannot be one.
    """
    dimensions: dict[str, Dimension] = {}
    for i, setting in enumerate(settings):
        label = _label(f"dimensions[{i}]", setting)
        if label in dimensions:
            hint = "Give one of them another name: {label: …, from: […]}."
            raise ConfigError(f"dimensions[{i}]", f"a second label {label}", "a label comes from one dimension", hint)
        places = tuple(Wanted(p.attribute, tuple(Level[name.upper()] for name in p.levels)) for p in setting.places)
        dimensions[label] = Dimension(label, places)
    return tuple(dimensions.values())


def _label(path: str, setting: DimensionSetting) -> str:
    """The label that was given, checked, or one made of the first attribute."""
    if not setting.label:
        return label_name(setting.places[0].attribute)
    try:
        return check_label_name(setting.label)
    except ValueError as error:
        raise ConfigError(f"{path}.label", repr(setting.label), "it cannot be a label's name", f"{error}.") from error
