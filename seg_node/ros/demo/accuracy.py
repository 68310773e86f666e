"""Mask AP of the demo's run, where its video comes with ground truth (`<video>.json`, COCO format)."""

import contextlib
import importlib.util
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seg_node.ros.demo.recorder import FrameRecord
from seg_node.ros.demo.report import SentImage


def ground_truth_of(video: Path) -> Path | None:
    """The annotation file beside the video; None when there is none or pycocotools is not installed.

    The `id` of an image in it is the number of the frame in the video, from 0.
    """
    path = video.with_suffix(".json")
    return path if path.is_file() and importlib.util.find_spec("pycocotools") else None


def mask_accuracy(
    truth: Path, frames: Sequence[FrameRecord], sent: Sequence[SentImage]
) -> dict[str, float] | None:
    """COCO mask AP and AP50 over the frames both processed and annotated; None when there are none.

    Classes are matched by name. `frames` need their masks.
    Source: pycocotools' COCOeval, iouType "segm".
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    content = json.loads(truth.read_text())
    annotated = {image["id"] for image in content["images"]}
    index_of = {image.stamp_ns: image.index for image in sent}
    category_of = {category["name"]: category["id"] for category in content["categories"]}
    # A looped stream shows a frame again: its first results count.
    records: dict[int, FrameRecord] = {}
    for record in frames:
        index = index_of.get(record.stamp_ns)
        if index is not None and index in annotated:
            records.setdefault(index, record)
    if not records:
        return None
    results = [
        result for index, record in records.items() for result in _coco_results(index, record, category_of)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = content
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results) if results else COCO(), "segm")
        evaluation.params.imgIds = sorted(records)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ap, ap50 = evaluation.stats[:2]
    return {"mask AP": round(float(ap), 3), "AP50": round(float(ap50), 3), "frames": len(records)}


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
