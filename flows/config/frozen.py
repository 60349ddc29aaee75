"""What a state directory keeps for its life: settings that stored state cannot be read without."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING

from detectors.scale import SCALE
from flows.units import format_duration

if TYPE_CHECKING:
    from flows.config.model import Config

RECOVERY_PARTITIONS = 8
"""Files that the dataflow engine spreads state over; fixed when the directory is made."""

SERIES_HASH, SLOT_HASH = "blake2b-64", "crc32"
"""What deals services to shards and admits series (`flows/series.py`), what deals partitions to slots."""

Frozen = dict[str, str | int | list[str]]


def frozen_settings(config: Config) -> Frozen:
    """The settings that stored state depends on, by their keys in the file where they have one; plain JSON values.

    Thresholds are none of them: stored cells are made into those of other cuts, exact from then on.
    """
    from flows.config.live import Kafka
    from flows.series import SHARDS

    metrics = config.span_metrics
    slots = config.kafka.slots if config.kafka else Kafka.model_fields["slots"].default
    return {
        "kafka.slots": slots,
        "time.pane": format_duration(config.time.pane_ns),
        "windows": [format_duration(window) for window in config.windows_ns],
        "span_metrics.bounds_ms": [format_duration(bound) for bound in metrics.bounds_ns],
        "histogram scale": SCALE,
        "shards": SHARDS,
        "series hash": SERIES_HASH,
        "slot hash": SLOT_HASH,
        "recovery partitions": RECOVERY_PARTITIONS,
    }


def fingerprint_of(config: Config) -> str:
    """16 hexadecimal digits that differ where anything frozen does; the same in every process and release."""
    text = json.dumps(frozen_settings(config), sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=8).hexdigest()
