# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Rename the classes of a segmentation by the groups of the user's labels file, whatever the family."""

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.class_groups import ClassGroups
from seg_node.masks.overlap import intersection_areas, mask_areas, mask_ious
from seg_node.models.assemble.instances import first_overlapping
from seg_node.types import Instances, PanopticSegments, Roi, Segment, Segmentation, SegmentOptions


def regroup(found: Segmentation, groups: ClassGroups, options: SegmentOptions) -> Segmentation:
    """Replace the checkpoint's classes by the user's; drop objects and segments of dropped classes.

    Of two objects of different classes of one group whose masks overlap by more than options.nms_threshold
    (IoU) the lower-scored one is dropped, as it would have been in one class; its panoptic segment becomes
    the other's. Segments of stuff in one group become one, and stuff smaller than
    options.panoptic_stuff_min_area is dropped afterwards.
    """
    instances, new_id = _regroup_instances(found.instances, groups, options.nms_threshold)
    if found.panoptic is None:
        return replace(found, instances=instances)
    panoptic = _regroup_panoptic(found.panoptic, groups, new_id, options.panoptic_stuff_min_area)
    return replace(found, instances=instances, panoptic=panoptic)


def _regroup_instances(
    found: Instances, groups: ClassGroups, iou: float
) -> tuple[Instances, Mapping[int, int]]:
    """Return the instances left, and their ids by those before; an overlapping one has the better one's."""
    class_ids = groups.renumber(found.class_ids)
    winner = np.arange(len(found))
    for class_id in groups.joined.intersection(class_ids.tolist()):
        places = np.flatnonzero(class_ids == class_id)
        winner[places] = places[_winners(found.select(places), iou)]
    kept = np.flatnonzero((class_ids >= 0) & (winner == np.arange(len(found))))
    ids = np.arange(1, len(kept) + 1, dtype=np.uint32)
    place = {int(i): number for number, i in enumerate(kept, start=1)}
    new_id = {
        int(before): place[i]
        for before, i in zip(found.ids.tolist(), winner.tolist(), strict=True)
        if i in place
    }
    if len(kept) == len(found):
        return replace(found, class_ids=class_ids, ids=ids), new_id
    return replace(found.select(kept), class_ids=class_ids[kept], ids=ids), new_id


def _winners(found: Instances, iou: float) -> NDArray[np.intp]:
    """Return for each object of one group the index of the one that replaces it: its own if it is kept."""
    classes = found.class_ids
    if (classes == classes[0]).all():
        return np.arange(len(found))
    areas = mask_areas(found.masks)
    overlaps = mask_ious(intersection_areas(found.masks, found.masks), areas, areas) > iou
    # objects of one class have been compared by the model, in the way of its reference
    return first_overlapping(overlaps & (classes[:, None] != classes))


def _regroup_panoptic(
    panoptic: PanopticSegments, groups: ClassGroups, new_id: Mapping[int, int], least_area: int
) -> PanopticSegments:
    """Rename and join the segments. new_id: of instances, by their ids in `panoptic`."""
    classes = groups.renumber(np.array([segment.class_id for segment in panoptic.segments], np.int32))
    joined: dict[tuple[str, int], list[Segment]] = {}
    for segment, class_id in zip(panoptic.segments, classes.tolist(), strict=True):
        if class_id < 0:
            continue
        instance_id = new_id.get(segment.instance_id, 0)
        key = ("stuff", class_id) if not segment.is_thing else ("object", instance_id)
        if segment.is_thing and not instance_id:
            key = ("segment", segment.id)
        joined.setdefault(key, []).append(replace(segment, class_id=class_id, instance_id=instance_id))
    segments: list[Segment] = []
    value = np.zeros(max((segment.id for segment in panoptic.segments), default=0) + 1, np.uint16)
    for parts in joined.values():
        whole = _join(parts, len(segments) + 1)
        if whole.is_thing or whole.area >= least_area:
            segments.append(whole)
            value[[part.id for part in parts]] = whole.id
    if (value == np.arange(len(value))).all():
        return PanopticSegments(panoptic.segment_map, tuple(segments))
    return PanopticSegments(_replace(panoptic.segment_map, value), tuple(segments))


def _replace(segment_map: NDArray[np.uint16], value: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the value of each id of (H, W)."""
    if len(value) > 256:
        return np.take(value, segment_map)
    table = np.zeros(256, np.uint16)
    table[: len(value)] = value
    return np.asarray(cv2.LUT(segment_map.astype(np.uint8), table))  # ten times as fast as np.take


def _join(parts: list[Segment], segment_id: int) -> Segment:
    if len(parts) == 1:
        return replace(parts[0], id=segment_id)
    left, top = (min(getattr(part.roi, side) for part in parts) for side in ("x_offset", "y_offset"))
    right = max(part.roi.x_offset + part.roi.width for part in parts)
    bottom = max(part.roi.y_offset + part.roi.height for part in parts)
    return replace(
        parts[0],
        id=segment_id,
        score=max(part.score for part in parts),
        area=sum(part.area for part in parts),
        roi=Roi(left, top, right - left, bottom - top),
    )
