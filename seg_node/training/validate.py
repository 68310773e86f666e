# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Measure the accuracy of the model in training, with the code of `seg_node evaluate`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from seg_node.evaluation.coco_fields import Id
from seg_node.evaluation.scorers import InstanceScorer, PanopticScorer
from seg_node.evaluation.true_pictures import read_true_image
from seg_node.inference.engine import Engine
from seg_node.models.rcnn.model import RCNNModel
from seg_node.training.classes import UNKNOWN, ClassMap
from seg_node.training.dataset import Truth, read_truth
from seg_node.training.relabel import relabel_truth
from seg_node.types import LabelSet, Segmentation
from seg_node.untrusted.printable import listed


@dataclass(frozen=True)
class Validation:
    """A validation set in the model's classes. exhaustive: by image id, see `ClassMap.exhaustive_things`."""

    truth: Truth
    exhaustive: Mapping[Id, tuple[bool, ...]]


def check_measurable(truth: Truth, classes: ClassMap) -> None:
    """Report categories of a validation set that belong to no class and are not measured.

    Raises ValueError when no category belongs to a class.
    """
    names = dict.fromkeys(truth.instances.categories.values())
    if truth.panoptic is not None:
        names |= dict.fromkeys(truth.panoptic.categories.values())
    ignored = [name for name in names if not classes.thing_of(name)]
    if truth.panoptic is not None:
        ignored = [name for name in ignored if classes.stuff_of(name) == UNKNOWN]
    if len(ignored) == len(names):
        raise ValueError(
            f"{truth.source.data}: none of its classes is learnt, so nothing can be measured with it; its "
            f"classes: {listed(names)}; learnt: {listed(classes.things)}; rename them, or say in --classes "
            "which of them mean each class"
        )
    if ignored:
        print(f"{truth.source.data}: not measured, as not learnt: {listed(ignored)}", file=sys.stderr)


def read_validation(truth: Truth, classes: ClassMap, labels: LabelSet, stem: Path) -> Validation:
    """Write the ground truth in the model's classes at `stem`, see `relabel_truth`, and read it.

    Raises ValueError, see `read_truth`, also when a panoptic map cannot be read.
    """
    names = truth.instances.categories.values()
    exhaustive = {i: classes.exhaustive_things(own, names) for i, own in truth.exhaustive.items()}
    return Validation(read_truth(relabel_truth(truth, classes, labels, stem)), exhaustive)


def validate(
    model: RCNNModel, sets: Sequence[Validation], device: torch.device, folder: Path
) -> dict[str, float | None]:
    """Return mask_ap, mask_ap50, box_ap and, with panoptic maps, pq: means over classes, then over sets.

    folder: for the scorers' files.
    """
    engine = Engine(model, device)
    found = [_validate_one(engine, validation, folder) for validation in sets]
    values = {key: [m[key] for m in found if m.get(key) is not None] for m in found for key in m}
    return {key: float(np.mean(own)) if own else None for key, own in values.items()}  # type: ignore[arg-type]


def _validate_one(engine: Engine, validation: Validation, folder: Path) -> dict[str, float | None]:
    truth = validation.truth
    options = replace(engine.default_options, duplicate_iou=1.0, panoptic=truth.panoptic is not None)
    scorers: list[InstanceScorer | PanopticScorer] = [InstanceScorer(truth.instances, engine.labels)]
    if truth.panoptic is not None:
        scorers.append(PanopticScorer(truth.panoptic, engine.labels, folder))
    images = truth.instances.images.values()
    for image in tqdm(images, desc="validation", unit="image", leave=False, disable=None):
        segmentation = engine.segment(read_true_image(truth.source.images, image), options)
        segmentation = only_exhaustive(segmentation, validation.exhaustive[image.id])
        for scorer in scorers:
            scorer.add(image, segmentation)
    means: dict[str, float | None] = {}
    for scorer in scorers:
        scores = scorer.scores().means
        means |= {key: scores[key] for key in ("mask_ap", "mask_ap50", "box_ap") if key in scores}
        if "pq" in scores:
            means["pq"] = scores["pq"]["all"]
    return means


def only_exhaustive(segmentation: Segmentation, exhaustive: Sequence[bool]) -> Segmentation:
    """Drop instances of classes that are not exhaustive in the picture: they cannot be scored."""
    found = segmentation.instances
    kept = np.flatnonzero(np.array(exhaustive)[found.class_ids])
    return replace(segmentation, instances=found.select(kept))
