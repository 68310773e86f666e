# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""COCO's average precision of instances, computed by COCO's own library, pycocotools."""

import contextlib
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from seg_node.evaluation.coco_fields import Id, in_order
from seg_node.evaluation.coco_masks import outline_of
from seg_node.evaluation.ground_truth import TrueImage


@dataclass(frozen=True)
class Precision:
    """Average precision from 0 to 1; None where the ground truth has no object.

    ap: mean over the IoU thresholds 0.50, 0.55 … 0.95. ap50: at 0.50.
    """

    ap: float | None
    ap50: float | None


def check_pycocotools() -> None:
    """Raise RuntimeError when pycocotools is missing."""
    if find_spec("pycocotools") is None:
        raise RuntimeError("average precision needs pycocotools: pip install pycocotools")


def average_precision(
    kind: Literal["mask", "box"],
    images: Iterable[TrueImage],
    annotations: Iterable[Mapping[str, Any]],
    results: Sequence[Mapping[str, Any]],
    categories: Collection[Id],
) -> tuple[Precision, dict[Id, Precision]]:
    """Return the mean over the categories that have objects, and the precision of each category.

    kind: whether masks or boxes are compared.
    images, categories: those to score; annotations and results of others are left out.
    annotations: as in `InstanceTruth`; those without a mask are ignored when masks are compared.
    results: COCO results, see `seg_node.evaluation.coco.instance_results`.

    The 100 best results of each category and image count. Source: pycocotools COCOeval.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    size_of = {image.id: image.size for image in images}
    number_of_image, number_of_category = _numbered(size_of), _numbered(categories)
    sizes = [{"id": n, "height": size_of[i][0], "width": size_of[i][1]} for i, n in number_of_image.items()]
    sides = []
    for entries in (annotations, results):
        side = COCO()
        side.dataset = {
            "images": sizes,
            "categories": [{"id": n} for n in number_of_category.values()],
            "annotations": _entries(entries, kind, number_of_image, number_of_category),
        }
        sides.append(side)
    with contextlib.redirect_stdout(io.StringIO()):
        for side in sides:
            side.createIndex()
        evaluation = COCOeval(*sides, "segm" if kind == "mask" else "bbox")
        evaluation.params.catIds = list(number_of_category.values())
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, np.inf]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, 0]  # (IoU thresholds, recalls, categories)
    each = {category: _precision(precision[..., n]) for category, n in number_of_category.items()}
    return _precision(precision), each


def _numbered(ids: Iterable[Id]) -> dict[Id, int]:
    """Number the ids 0, 1, … in order: COCOeval confuses text with digits and numbers."""
    return {i: number for number, i in enumerate(in_order(ids))}


def _entries(
    entries: Iterable[Mapping[str, Any]],
    kind: Literal["mask", "box"],
    number_of_image: Mapping[Id, int],
    number_of_category: Mapping[Id, int],
) -> list[dict[str, Any]]:
    """Copy the entries, into which COCOeval writes, and renumber them: it reads id 0 as no match."""
    kept = (e for e in entries if e["image_id"] in number_of_image and e["category_id"] in number_of_category)
    return [
        {
            "id": number,
            "image_id": number_of_image[entry["image_id"]],
            "category_id": number_of_category[entry["category_id"]],
            "iscrowd": entry.get("iscrowd", 0),
            "score": entry.get("score"),
            "area": 0,  # COCOeval compares it with the only range, which has no bounds
            **(_mask(entry) if kind == "mask" else {"bbox": entry["bbox"]}),
        }
        for number, entry in enumerate(kept, start=1)
    ]


def _mask(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Treat an object with only a box as a crowd: it is no miss, and excuses predictions inside it."""
    if entry["segmentation"] is None:
        return {"segmentation": outline_of(entry["bbox"]), "iscrowd": 1}
    return {"segmentation": entry["segmentation"]}


def _precision(precision: np.ndarray) -> Precision:
    """Average. precision: first axis IoU thresholds from 0.50; -1 for classes without objects."""

    def mean(values: np.ndarray) -> float | None:
        return float(values[values > -1].mean()) if (values > -1).any() else None

    return Precision(mean(precision), mean(precision[0]))
