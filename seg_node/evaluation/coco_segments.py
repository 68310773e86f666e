# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Check the lists of segments in COCO's panoptic annotations."""

import re
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from seg_node.evaluation.coco_fields import Id, is_listed, read_flag, read_id, shown, value_of, whole_number
from seg_node.evaluation.coco_file import errors_about, label_of
from seg_node.evaluation.panoptic_quality import TrueSegment

_MAX_ID = 2**24 - 1  # three bytes of colour
_DIGITS = re.compile("[0-9]{1,8}")  # some tools write these ids as text


def read_segments(
    infos: Any, image_id: Id, categories: Collection[Id], path: Path
) -> tuple[TrueSegment, ...]:
    """Read the segments, also those of unlisted categories, which no listed category owns.

    Raises ValueError naming the file, the segment, and what is wrong with it.
    """
    of_image = f"of image {shown(image_id)}"
    if not isinstance(infos, list) or not all(isinstance(info, dict) for info in infos):
        raise ValueError(
            f"{path}: annotation {of_image} has segments_info {shown(infos)}; it must be a list of entries"
        )
    segments: dict[int, TrueSegment] = {}
    for index, info in enumerate(infos):
        with errors_about(path, partial(_label, info, index, of_image)):
            segment = _segment(info, categories)
            if segment.id in segments:
                raise ValueError("is listed twice")
        segments[segment.id] = segment
    return tuple(segments.values())


def _label(info: Mapping[str, Any], index: int, of_image: str) -> str:
    return f"{label_of('segment', info, index)} {of_image}"


def _segment(info: Mapping[str, Any], categories: Collection[Id]) -> TrueSegment:
    value = value_of(info, "id")
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else whole_number(value)
    if number is None or not 0 < number <= _MAX_ID:
        raise ValueError(f"has this id, which no colour of a map stands for; it must be from 1 to {_MAX_ID}")
    category_id = read_id(info, "category_id")
    is_listed("category", category_id, categories)
    return TrueSegment(number, category_id, whole_number(info.get("area")), read_flag(info, "iscrowd"))
