# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy of a demo run whose source comes with ground truth in COCO's formats."""

import importlib.util
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.evaluation.average_precision import average_precision
from seg_node.evaluation.coco_fields import Id
from seg_node.evaluation.ground_truth import (
    InstanceTruth,
    PanopticTruth,
    read_instance_truth,
    read_panoptic_truth,
    read_segment_map,
)
from seg_node.evaluation.panoptic_quality import PanopticQuality
from seg_node.ros.demo.recorder import FrameRecord
from seg_node.ros.demo.report import SentImage
from seg_node.untrusted.printable import one_line


@dataclass(frozen=True)
class Truth:
    """Ground truth of a stream. An image's `id` is its frame number in the source, from 0."""

    instances: InstanceTruth
    panoptic: PanopticTruth | None


def read_truth_of(source: Path) -> Truth | None:
    """Read `<bag>/truth/annotations.json` and `panoptic.json` of a bag, or `<video>.json` of a video.

    panoptic.json: COCO's panoptic annotations, PNG maps in the folder `panoptic` beside it.
    None when there is none, pycocotools is not installed, or it cannot be read, which is reported on stderr.
    """
    is_bag = source.is_dir()
    instances = source / "truth/annotations.json" if is_bag else source.with_suffix(".json")
    panoptic = source / "truth/panoptic.json"
    has_panoptic = is_bag and panoptic.is_file()
    if not instances.is_file() or not importlib.util.find_spec("pycocotools"):
        return None
    try:
        truth = Truth(
            read_instance_truth(instances, of_stream=True),
            read_panoptic_truth(panoptic, panoptic.with_suffix("")) if has_panoptic else None,
        )
        if any(isinstance(image_id, str) for image_id in truth.instances.images):
            raise ValueError(f"{instances}: image ids must be frame numbers, from 0")
    except (ValueError, OSError) as error:
        _report_unmeasured(error)
        return None
    for note in (*truth.instances.notes, *(truth.panoptic.notes if truth.panoptic else ())):
        print(note, file=sys.stderr, flush=True)
    return truth


def accuracy(
    truth: Truth, frames: Sequence[FrameRecord], sent: Sequence[SentImage]
) -> dict[str, float] | None:
    """Compute mask AP, AP50 and panoptic quality over the frames both processed and annotated.

    None when there are none, or the ground truth does not fit them, which is reported on stderr.
    Classes are matched by name; those of the ground truth that the model lacks count as missed. If no frame
    has stuff, panoptic quality covers things only and is called "PQ of things".
    `frames` need their masks and segment maps.
    """
    records = _annotated_by_index(frames, sent, truth.instances.images)
    if not records:
        return None
    try:
        _check_sizes(truth.instances, records)
        found = _mask_ap(truth.instances, records)
        if truth.panoptic is not None:
            found |= _panoptic_quality(truth.panoptic, records)
    except ValueError as error:
        _report_unmeasured(error)
        return None
    return {**found, "frames": len(records)}


def _report_unmeasured(error: Exception) -> None:
    print(f"accuracy is not measured: {one_line(str(error))}", file=sys.stderr, flush=True)


def _annotated_by_index(
    frames: Sequence[FrameRecord], sent: Sequence[SentImage], annotated: Collection[Id]
) -> dict[int, FrameRecord]:
    """Index the annotated frames by frame number. In a looped stream, a frame's first results count."""
    index_of = {image.stamp_ns: image.index for image in sent}
    records: dict[int, FrameRecord] = {}
    for record in frames:
        index = index_of.get(record.stamp_ns)
        if index is not None and index in annotated:
            records.setdefault(index, record)
    return records


def _check_sizes(truth: InstanceTruth, records: Mapping[int, FrameRecord]) -> None:
    """Raise ValueError when the ground truth's image sizes differ from the stream's."""
    for index, record in records.items():
        if truth.images[index].size != record.image_size:
            (height, width), (true_height, true_width) = record.image_size, truth.images[index].size
            raise ValueError(
                f"frame {index} is {width}x{height}, but the ground truth says {true_width}x{true_height}"
            )


def _mask_ap(truth: InstanceTruth, records: Mapping[int, FrameRecord]) -> dict[str, float]:
    """COCO mask AP and AP50 over all classes of the ground truth; -1 where it has no objects."""
    category_of = {name: category for category, name in truth.categories.items()}
    results = [
        result for index, record in records.items() for result in _coco_results(index, record, category_of)
    ]
    images = [truth.images[index] for index in records]
    mean, _ = average_precision("mask", images, truth.annotations, results, category_of.values())
    found = {"mask AP": mean.ap, "AP50": mean.ap50}
    return {name: -1.0 if value is None else round(value, 3) for name, value in found.items()}


def _coco_results(index: int, record: FrameRecord, category_of: Mapping[str, Id]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": index,
            "category_id": category_of[instance["class"]],
            "score": instance["score"],
            "segmentation": {"size": list(record.image_size), "counts": counts.decode()},
        }
        for instance, counts in zip(record.instances, record.masks, strict=True)
        if instance["class"] in category_of
    ]


def _panoptic_quality(truth: PanopticTruth, records: Mapping[int, FrameRecord]) -> dict[str, float]:
    """Mean panoptic quality of the classes that occur; empty when no panoptic map was received."""
    quality = PanopticQuality(things=truth.things, stuff=truth.categories.keys() - truth.things)
    mapped = {i: record for i, record in records.items() if record.segment_map and i in truth.maps}
    if not mapped:
        return {}
    for index, record in mapped.items():
        predicted_map, predicted = _decode_prediction(record, truth)
        listed = [segment.id for segment in truth.segments[index]]
        true_map = read_segment_map(truth.maps[index], record.image_size, listed)
        quality.add(predicted_map, predicted, true_map, truth.segments[index])
    result = quality.result()
    has_stuff = any(not segment["is_thing"] for record in mapped.values() for segment in record.segments)
    name, mean = ("PQ", result.all) if has_stuff else ("PQ of things", result.things)
    return {} if mean.pq is None else {name: round(mean.pq, 3)}


def _decode_prediction(record: FrameRecord, truth: PanopticTruth) -> tuple[NDArray[np.uint16], dict[int, Id]]:
    """Decode the map and the category of each segment; segments of other classes become void."""
    category_of = {name.lower(): category for category, name in truth.categories.items()}
    encoded = np.frombuffer(record.segment_map, np.uint8)
    segment_map = np.array(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED), np.uint16)
    predicted = {
        segment["id"]: category_of[segment["class"].lower()]
        for segment in record.segments
        if segment["class"].lower() in category_of
    }
    segment_map[~np.isin(segment_map, list(predicted))] = 0
    return segment_map, predicted
