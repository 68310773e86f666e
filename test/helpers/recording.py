# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Reads Rerun's recordings back, with Rerun's own reader."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

chunk = pytest.importorskip("rerun.chunk", reason="no rerun-sdk here that can read recordings (0.41 can)")

STATIC = -1


def read_recording(file: Path) -> dict[str, dict[int, list[Any]]]:
    """`/entity Archetype:field` → stamp in nanoseconds (STATIC for what has none) → its values."""
    values: dict[str, dict[int, list[Any]]] = {}
    for part in chunk.RrdReader(file).store().stream().to_chunks():
        batch = part.to_record_batch()
        if "stamp" in batch.schema.names:
            stamps = batch.column("stamp").cast(pa.int64()).to_pylist()
        else:
            stamps = [STATIC] * part.num_rows
        for name in batch.schema.names:
            if ":" not in name:
                continue
            rows = zip(stamps, batch.column(name).to_pylist(), strict=True)
            column = values.setdefault(f"{part.entity_path} {name}", {})
            column.update({stamp: value for stamp, value in rows if value is not None})
    return values


def entities(values: dict[str, dict[int, list[Any]]]) -> set[str]:
    return {name.split()[0] for name in values if not name.startswith("/__")}
