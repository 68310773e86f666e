"""COCO's average precision of instances, computed by its own library, pycocotools."""

import contextlib
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from seg_node.ground_truth import TrueImage


@dataclass(frozen=True)
class Precision:
    """From 0 to 1; None where the ground truth has no object.

    ap: mean over the IoU thresholds 0.50, 0.55 … 0.95. ap50: at 0.50.
    """

    ap: float | None
    ap50: float | None


def check_pycocotools() -> None:
    """Raises RuntimeError when the library is missing."""
    if find_spec("pycocotools") is None:
        raise RuntimeError("average precision needs pycocotools: pip install pycocotools")


def average_precision(
    kind: Literal["mask", "box"],
    images: Iterable[TrueImage],
    annotations: Iterable[Mapping[str, Any]],
    results: Sequence[Mapping[str, Any]],
    categories: Collection[int],
) -> tuple[Precision, dict[int, Precision]]:
    """The mean over the categories that have objects, and that of each category.

    kind: whether masks or boxes are compared.
    images, categories: those to score; annotations and results of others are left out.
    annotations: as in `InstanceTruth`. results: COCO results, see `seg_node.coco.instance_results`.

    Of each category the 100 best of an image count. Source: pycocotools COCOeval.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    used = "segmentation" if kind == "mask" else "bbox"
    sizes = [{"id": image.id, "height": image.size[0], "width": image.size[1]} for image in images]
    sides = []
    for entries in (annotations, results):
        side = COCO()
        side.dataset = {
            "images": sizes,
            "categories": [{"id": category} for category in categories],
            "annotations": _entries(entries, used),
        }
        sides.append(side)
    with contextlib.redirect_stdout(io.StringIO()):
        for side in sides:
            side.createIndex()
        evaluation = COCOeval(*sides, "segm" if kind == "mask" else "bbox")
        evaluation.params.catIds = sorted(categories)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, np.inf]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, 0]  # (IoU thresholds, recalls, categories)
    each = {category: _precision(precision[..., index]) for index, category in enumerate(sorted(categories))}
    return _precision(precision), each


def _entries(entries: Iterable[Mapping[str, Any]], used: str) -> list[dict[str, Any]]:
    """Copies, as COCOeval writes into them; numbered anew, as it takes the id 0 for no match."""
    return [
        {
            "id": number,
            "image_id": entry["image_id"],
            "category_id": entry["category_id"],
            "iscrowd": entry.get("iscrowd", 0),
            "score": entry.get("score"),
            "area": 0,  # only asked whether it is in range, and all are
            used: entry[used],
        }
        for number, entry in enumerate(entries, start=1)
    ]


def _precision(precision: np.ndarray) -> Precision:
    """precision: first axis IoU thresholds from 0.50; -1 for categories without objects."""

    def mean(values: np.ndarray) -> float | None:
        return float(values[values > -1].mean()) if (values > -1).any() else None

    return Precision(mean(precision), mean(precision[0]))
