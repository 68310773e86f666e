"""Accuracy of the demo's run, where its source comes with ground truth in COCO's formats."""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.average_precision import average_precision
from seg_node.coco_fields import Id
from seg_node.ground_truth import PanopticTruth, TrueImage, read_panoptic_truth, read_segment_map
from seg_node.panoptic_quality import PanopticQuality
from seg_node.ros.demo.recorder import FrameRecord
from seg_node.ros.demo.report import SentImage


@dataclass(frozen=True)
class TruthFiles:
    """instances: COCO annotations. panoptic: COCO's panoptic annotations, PNG maps in a folder of that name.

    The `id` of an image in both is the number of the frame in the source, from 0.
    """

    instances: Path
    panoptic: Path | None


def ground_truth_of(source: Path) -> TruthFiles | None:
    """`<bag>/truth/annotations.json` and `panoptic.json` of a bag's folder, `<video>.json` of a video.

    None when there is none or pycocotools is not installed.
    """
    if not importlib.util.find_spec("pycocotools"):
        return None
    if source.is_dir():
        instances, panoptic = (source / "truth" / name for name in ("annotations.json", "panoptic.json"))
        return (
            TruthFiles(instances, panoptic if panoptic.is_file() else None) if instances.is_file() else None
        )
    instances = source.with_suffix(".json")
    return TruthFiles(instances, None) if instances.is_file() else None


def accuracy(
    truth: TruthFiles, frames: Sequence[FrameRecord], sent: Sequence[SentImage]
) -> dict[str, float] | None:
    """Mask AP and AP50, and panoptic quality, over the frames both processed and annotated; None for none.

    Classes are matched by name; those of the ground truth that the model lacks count as missed. Where no
    stuff was heard in any frame, the panoptic quality is of things only, under the name "PQ of things".
    `frames` need their masks and segment maps.
    """
    content = json.loads(truth.instances.read_text())
    records = _annotated(frames, sent, {image["id"] for image in content["images"]})
    if not records:
        return None
    found = _mask_ap(content, records)
    if truth.panoptic is not None:
        found |= _panoptic_quality(truth.panoptic, records)
    return {**found, "frames": len(records)}


def _annotated(
    frames: Sequence[FrameRecord], sent: Sequence[SentImage], annotated: set[int]
) -> dict[int, FrameRecord]:
    """By number of the frame. A looped stream shows a frame again: its first results count."""
    index_of = {image.stamp_ns: image.index for image in sent}
    records: dict[int, FrameRecord] = {}
    for record in frames:
        index = index_of.get(record.stamp_ns)
        if index is not None and index in annotated:
            records.setdefault(index, record)
    return records


def _mask_ap(content: dict[str, Any], records: Mapping[int, FrameRecord]) -> dict[str, float]:
    """COCO mask AP and AP50 over all classes of the ground truth; -1 where it has no objects."""
    category_of = {category["name"]: category["id"] for category in content["categories"]}
    results = [
        result for index, record in records.items() for result in _coco_results(index, record, category_of)
    ]
    images = [TrueImage(index, "", record.image_size) for index, record in records.items()]
    annotations = [entry for entry in content["annotations"] if entry["image_id"] in records]
    mean, _ = average_precision("mask", images, annotations, results, category_of.values())
    found = {"mask AP": mean.ap, "AP50": mean.ap50}
    return {name: -1.0 if value is None else round(value, 3) for name, value in found.items()}


def _coco_results(index: int, record: FrameRecord, category_of: dict[str, int]) -> list[dict[str, Any]]:
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


def _panoptic_quality(path: Path, records: Mapping[int, FrameRecord]) -> dict[str, float]:
    """Mean panoptic quality of the classes that occur; empty when no panoptic map was heard."""
    truth = read_panoptic_truth(path, path.with_suffix(""))
    quality = PanopticQuality(things=truth.things, stuff=truth.categories.keys() - truth.things)
    heard = {index: record for index, record in records.items() if record.segment_map and index in truth.maps}
    if not heard:
        return {}
    for index, record in heard.items():
        predicted_map, predicted = _predicted(record, truth)
        true_map = read_segment_map(truth.maps[index])
        quality.add(predicted_map, predicted, true_map, truth.segments[index])
    result = quality.result()
    has_stuff = any(not segment["is_thing"] for record in heard.values() for segment in record.segments)
    name, mean = ("PQ", result.all) if has_stuff else ("PQ of things", result.things)
    return {} if mean.pq is None else {name: round(mean.pq, 3)}


def _predicted(record: FrameRecord, truth: PanopticTruth) -> tuple[NDArray[np.uint16], dict[int, Id]]:
    """The heard map and the category of each segment; segments of other classes become void."""
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
