# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Score segmentations against ground truth, image by image: one scorer for instances, one for panoptic maps.

Predictions are kept in the ground truth's category ids, and written whether or not they can be scored.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seg_node.evaluation.average_precision import average_precision
from seg_node.evaluation.by_group import join_stuff
from seg_node.evaluation.coco import instance_results, map_name, panoptic_annotation, panoptic_png
from seg_node.evaluation.coco_fields import Id, in_order
from seg_node.evaluation.ground_truth import (
    InstanceTruth,
    MatchedClasses,
    PanopticTruth,
    TrueImage,
    match_classes,
    read_segment_map,
)
from seg_node.evaluation.panoptic_quality import PanopticQuality, TrueSegment
from seg_node.types import LabelSet, PanopticSegments, Segmentation


@dataclass(frozen=True)
class Scores:
    """Scores from 0 to 1, None where there is no object, under the names of evaluation.json.

    means: over the scored classes. per_class: by the name of the class in the ground truth.
    """

    classes: MatchedClasses
    means: Mapping[str, Any]
    per_class: Mapping[str, Mapping[str, Any]]


class InstanceScorer:
    """AP of masks and boxes."""

    def __init__(self, truth: InstanceTruth, labels: LabelSet) -> None:
        self._truth = truth
        self._classes = match_classes(labels.things, truth.categories)
        self._images: dict[Id, TrueImage] = {}
        self._kept: set[Id] = set()
        self._results: list[dict[str, Any]] = []

    def add(self, image: TrueImage, segmentation: Segmentation) -> None:
        """Keep and score one image; an image that is not in this ground truth is ignored."""
        self.keep(image, segmentation)
        self.score(image, segmentation)

    def score(self, image: TrueImage, segmentation: Segmentation) -> None:
        """Include the image, whose prediction has been kept, in the score."""
        if image.id in self._truth.images:
            self._images[image.id] = image

    def keep(self, image: TrueImage, segmentation: Segmentation) -> None:
        """Keep the prediction for `write`."""
        if image.id not in self._truth.images:
            return
        self._kept.add(image.id)
        category_of = self._classes.category_of
        for result in instance_results(segmentation.instances, image.size, image.file_name, image.id):
            if result["category_id"] in category_of:
                self._results.append({**result, "category_id": category_of[result["category_id"]]})

    def scores(self) -> Scores:
        """Return mask_ap, mask_ap50, box_ap, box_ap50; for each class also its objects (without crowds)."""
        categories = in_order(set(self._classes.category_of.values()))
        annotations = [a for a in self._truth.annotations if a["image_id"] in self._images]
        objects = Counter(a["category_id"] for a in annotations if not a.get("iscrowd"))
        means: dict[str, Any] = {}
        per_class: dict[str, dict[str, Any]] = {
            self._truth.categories[category]: {"objects": objects[category]} for category in categories
        }
        for kind in ("mask", "box"):
            mean, each = average_precision(
                kind, self._images.values(), annotations, self._results, categories
            )
            means |= {f"{kind}_ap": mean.ap, f"{kind}_ap50": mean.ap50}
            for category, found in each.items():
                entry = per_class[self._truth.categories[category]]
                entry |= {f"{kind}_ap": found.ap, f"{kind}_ap50": found.ap50}
        return Scores(self._classes, means, per_class)

    def write(self, folder: Path) -> None:
        """Write instances.json, COCO results; nothing when no image was kept."""
        if self._kept:
            (folder / "instances.json").write_text(json.dumps(self._results) + "\n")


class PanopticScorer:
    """PQ, SQ and RQ of panoptic maps."""

    def __init__(self, truth: PanopticTruth, labels: LabelSet, folder: Path) -> None:
        """Write the PNG maps into the folder as the images come."""
        self._truth = truth
        self._classes = match_classes({**labels.stuff, **labels.things}, truth.categories)
        scored = in_order(set(self._classes.category_of.values()))
        self._quality = PanopticQuality(
            things=[category for category in scored if category in truth.things],
            stuff=[category for category in scored if category not in truth.things],
        )
        self._maps = folder / "panoptic"
        self._annotations: dict[Id, dict[str, Any]] = {}

    def add(self, image: TrueImage, segmentation: Segmentation) -> None:
        """Keep and score one image; an image that is not in this ground truth is ignored.

        Raises ValueError, see `score`.
        """
        self.keep(image, segmentation)
        self.score(image, segmentation)

    def keep(self, image: TrueImage, segmentation: Segmentation) -> None:
        """Write the predicted map as a PNG, and keep the rest for `write`."""
        if image.id not in self._truth.images:
            return
        predicted = self._in_categories(segmentation)
        file_name = map_name(image.id)
        self._annotations[image.id] = panoptic_annotation(predicted, file_name, image.id)
        self._maps.mkdir(parents=True, exist_ok=True)
        Image.fromarray(panoptic_png(predicted.segment_map)).save(self._maps / file_name)

    def score(self, image: TrueImage, segmentation: Segmentation) -> None:
        """Compare the image with its true map.

        Raises ValueError when the map is missing or does not match its list of segments.
        """
        if image.id not in self._truth.images:
            return
        predicted = self._in_categories(segmentation)
        segments: Sequence[TrueSegment] = self._truth.segments[image.id]
        true_map = read_segment_map(self._truth.maps[image.id], image.size, {s.id for s in segments})
        if self._truth.joins_stuff:
            true_map, segments = join_stuff(true_map, segments, self._truth.things)
        categories: dict[int, Id] = {segment.id: segment.class_id for segment in predicted.segments}
        self._quality.add(predicted.segment_map, categories, true_map, segments)

    def _in_categories(self, segmentation: Segmentation) -> PanopticSegments:
        assert segmentation.panoptic is not None
        return _in_categories(segmentation.panoptic, self._classes.category_of)

    def scores(self) -> Scores:
        """Return pq, sq and rq: means for all, things and stuff; for each class with its counts."""
        result = self._quality.result()
        groups = {"all": result.all, "things": result.things, "stuff": result.stuff}
        means = {
            key: {group: getattr(mean, key) for group, mean in groups.items()} for key in ("pq", "sq", "rq")
        }
        per_class = {
            self._truth.categories[category]: {
                **{key: getattr(found, key) if found.occurs else None for key in ("pq", "sq", "rq")},
                "true_positives": found.true_positives,
                "false_positives": found.false_positives,
                "false_negatives": found.false_negatives,
            }
            for category, found in result.categories.items()
        }
        return Scores(self._classes, means, per_class)

    def write(self, folder: Path) -> None:
        """Write panoptic.json, in COCO's panoptic format; nothing when no image was kept."""
        if not self._annotations:
            return
        content = {
            "images": [
                {
                    "id": image.id,
                    "file_name": image.file_name,
                    "height": image.size[0],
                    "width": image.size[1],
                }
                for image in map(self._truth.images.__getitem__, self._annotations)
            ],
            "annotations": list(self._annotations.values()),
            "categories": self._truth.listed_categories,
        }
        (folder / "panoptic.json").write_text(json.dumps(content) + "\n")


def _in_categories(panoptic: PanopticSegments, category_of: Mapping[int, Any]) -> PanopticSegments:
    """Replace class ids by category ids; segments of classes without a category become void."""
    kept = tuple(
        dataclasses.replace(segment, class_id=category_of[segment.class_id])
        for segment in panoptic.segments
        if segment.class_id in category_of
    )
    kept_ids = np.array([segment.id for segment in kept], np.uint16)
    new_id = np.zeros(max((segment.id for segment in panoptic.segments), default=0) + 1, np.uint16)
    new_id[kept_ids] = kept_ids
    return PanopticSegments(new_id[panoptic.segment_map], kept)
