# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""One row of the Parquet files per frame: what was found in it, or why nothing was."""

from typing import Any

import numpy as np
import pyarrow as pa

from seg_node.evaluation.coco import panoptic_png
from seg_node.fleet.slices import SliceFrame
from seg_node.masks.encoding import rle_counts
from seg_node.masks.label_images import encode_png
from seg_node.types import LabelSet, PanopticSegments, Segmentation

DONE, FAILED = "done", "failed"

# id: as in Instances. box: x_min, y_min, x_max, y_max, pixels. counts: COCO's compressed run lengths of the
# whole image.
_INSTANCE = pa.struct(
    [
        ("id", pa.uint32()),
        ("class_id", pa.int32()),
        ("class_name", pa.string()),
        ("score", pa.float32()),
        ("box", pa.list_(pa.float32(), 4)),
        ("area", pa.int64()),
        ("counts", pa.string()),
    ]
)
# box: x, y, width, height, pixels. instance_id: 0 for stuff.
_SEGMENT = pa.struct(
    [
        ("id", pa.int32()),
        ("class_id", pa.int32()),
        ("class_name", pa.string()),
        ("is_thing", pa.bool_()),
        ("score", pa.float32()),
        ("area", pa.int64()),
        ("box", pa.list_(pa.int32(), 4)),
        ("instance_id", pa.uint32()),
    ]
)
# header_frame_id: of the image's header. reason: empty for status "done". segments, panoptic_png: null unless
# asked for; the PNG holds COCO's colours (id = R + 256 G + 65536 B).
SCHEMA = pa.schema(
    [
        ("frame_id", pa.string()),
        ("topic", pa.string()),
        ("sequence", pa.int64()),
        ("name", pa.string()),
        ("stamp_ns", pa.int64()),
        ("recorded_ns", pa.int64()),
        ("header_frame_id", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("instances", pa.list_(_INSTANCE)),
        ("segments", pa.list_(_SEGMENT)),
        ("panoptic_png", pa.binary()),
    ]
)


def done_row(source: SliceFrame, topic: str, found: Segmentation, labels: LabelSet) -> dict[str, Any]:
    """Return the row of a segmented frame; labels: those that the class ids of the segmentation refer to."""
    assert source.frame is not None
    height, width = found.image_size
    row = _row(source, topic, DONE, "") | {"width": width, "height": height}
    row["header_frame_id"] = source.frame.frame_id
    row["instances"] = _instances(found, labels)
    if found.panoptic is not None:
        row["segments"] = _segments(found.panoptic, labels)
        row["panoptic_png"] = _png(found.panoptic)
    return row


def failed_row(source: SliceFrame, topic: str, reason: str) -> dict[str, Any]:
    """Return the row of a frame that could not be decoded or segmented."""
    return _row(source, topic, FAILED, reason)


def _row(source: SliceFrame, topic: str, status: str, reason: str) -> dict[str, Any]:
    return {
        "frame_id": source.frame_id,
        "topic": topic,
        "sequence": source.sequence,
        "name": source.name,
        "stamp_ns": source.stamp_ns,
        "recorded_ns": source.recorded_ns,
        "header_frame_id": "",
        "width": 0,
        "height": 0,
        "status": status,
        "reason": reason,
        "instances": [],
        "segments": None,
        "panoptic_png": None,
    }


def _instances(found: Segmentation, labels: LabelSet) -> list[dict[str, Any]]:
    instances = found.instances
    return [
        {
            "id": int(instances.ids[i]),
            "class_id": int(instances.class_ids[i]),
            "class_name": labels.name(int(instances.class_ids[i])),
            "score": float(instances.scores[i]),
            "box": instances.boxes_xyxy[i].tolist(),
            "area": mask.area,
            "counts": rle_counts(mask, found.image_size).decode("ascii"),
        }
        for i, mask in enumerate(instances.masks)
    ]


def _segments(panoptic: PanopticSegments, labels: LabelSet) -> list[dict[str, Any]]:
    return [
        {
            "id": segment.id,
            "class_id": segment.class_id,
            "class_name": labels.name(segment.class_id),
            "is_thing": segment.is_thing,
            "score": segment.score,
            "area": segment.area,
            "box": [segment.roi.x_offset, segment.roi.y_offset, segment.roi.width, segment.roi.height],
            "instance_id": segment.instance_id,
        }
        for segment in panoptic.segments
    ]


def _png(panoptic: PanopticSegments) -> bytes:
    colours = panoptic_png(panoptic.segment_map)
    return encode_png(np.ascontiguousarray(colours[..., ::-1])).tobytes()
