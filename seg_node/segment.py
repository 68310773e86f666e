"""What `seg_node segment` does: frames through a model into a folder of COCO files and annotated pictures."""

import dataclasses
import itertools
import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from seg_node.coco import categories, image_ids, instance_results, panoptic_annotation, panoptic_png
from seg_node.draw import draw_segmentation, to_bgr
from seg_node.engine import Engine, choose_device
from seg_node.models.load import load_model
from seg_node.sources import Source, open_source
from seg_node.types import Frame, Instances, LabelSet, Segmentation, SegmentOptions
from seg_node.video import AnnotatedVideo

# Below it reference models report many objects at once, which hide each other in a picture.
READABLE_SCORE = 0.5


def segment(
    inputs: Sequence[str | Path],
    out: Path,
    *,
    family: str = "auto",
    weights: str | Path | None = None,
    config: str | Path | None = None,
    labels: str | Path | None = None,
    device: str = "auto",
    score_threshold: float | None = None,
    classes: Iterable[str] | None = None,
    topic: str | None = None,
) -> int:
    """Segments the inputs, writes the folder `out` (see `seg_node segment --help`) and prints a table.

    Returns the exit status: 1 when some input could not be read, else 0.
    Raises ValueError, FileNotFoundError or RuntimeError for what the user can mend.
    """
    unread: list[str] = []

    def skip(name: str, error: Exception) -> None:
        unread.append(name)
        tqdm.write(f"left out {name}: {error}", file=sys.stderr)

    source = open_source(inputs, topic, skip)
    if source.kind == "camera":
        raise ValueError(f"{inputs[0]}: a camera has no end to segment up to; record a video or use the node")
    out.mkdir(parents=True, exist_ok=True)
    model = load_model(family, weights, config, labels)
    options = _options(model.default_options, model.labels, score_threshold, classes)
    engine = Engine(model, choose_device(device))
    draw_above = READABLE_SCORE if score_threshold is None else score_threshold
    unit = "image" if source.kind == "images" else "frame"
    results = ResultFolder(out, source, model.labels, draw_above)
    for name, frame in tqdm(source.frames, total=source.count, unit=unit):
        results.add(name, frame, engine.segment(frame, options))
    results.finish()
    print(results.table(unread, engine.device_name))
    return 1 if unread else 0


class ResultFolder:
    """Collects the results of one source and writes them: pictures at once, the JSON files at the end."""

    def __init__(self, folder: Path, source: Source, labels: LabelSet, draw_above: float) -> None:
        """draw_above: instances with greater scores are drawn."""
        self._folder = folder
        self._labels = labels
        self._draw_above = draw_above
        self._ids = dict(zip(source.names, image_ids(source.names), strict=True))
        self._next_id = itertools.count(1)
        self._is_stream = source.kind != "images"
        (folder / "annotated").mkdir(parents=True, exist_ok=True)
        self._video = AnnotatedVideo(folder / "annotated" / f"{source.name}.mp4", source.fps or 30.0)
        self._frames = 0
        self._drawn = 0
        self._results: list[dict[str, Any]] = []
        self._panoptic: dict[str, dict[str, Any]] = {}  # by the name of the PNG
        self._panoptic_images: list[dict[str, Any]] = []
        self._stage_ms: dict[str, list[float]] = {}

    def add(self, name: str, frame: Frame, segmentation: Segmentation) -> None:
        image_id = next(self._next_id) if self._is_stream else self._ids[name]
        found = instance_results(segmentation.instances, frame.image_size, name, image_id)
        if self._is_stream:
            found = [{**result, "stamp_ns": frame.stamp_ns} for result in found]
        self._results += found
        self._frames += 1
        for stage, milliseconds in segmentation.stage_ms.items():
            self._stage_ms.setdefault(stage, []).append(milliseconds)
        if self._labels.stuff and segmentation.panoptic is not None:
            self._add_panoptic(name, image_id, segmentation)
        shown = dataclasses.replace(segmentation, instances=_above(segmentation.instances, self._draw_above))
        self._drawn += len(shown.instances)
        picture = draw_segmentation(to_bgr(frame), shown, self._labels)
        if self._is_stream:
            self._video.write(picture)
        else:
            _write_image(self._folder / "annotated" / name, picture)

    def finish(self) -> None:
        """Writes what is written once, and closes the video."""
        self._video.close()
        self._write_json("instances.json", self._results)
        if self._labels.stuff:
            panoptic = {
                "images": self._panoptic_images,
                "annotations": list(self._panoptic.values()),
                "categories": categories(self._labels),
            }
            self._write_json("panoptic.json", panoptic)

    def table(self, unread: Sequence[str], device_name: str) -> str:
        """What was done, for the terminal."""
        missed = f"  ({len(unread)} could not be read: {', '.join(unread)})" if unread else ""
        counts = Counter(self._labels.name(result["category_id"]) for result in self._results)
        medians = (f"{stage} {statistics.median(times):.1f}" for stage, times in self._stage_ms.items())
        rows = [
            ("frames" if self._is_stream else "images", f"{self._frames}{missed}"),
            ("instances", str(len(self._results))),
            ("drawn", f"{self._drawn}, scored over {self._draw_above:g}"),
            *((f"  {name}", str(count)) for name, count in counts.most_common()),
            ("median ms", "  ".join([*medians, f"on {device_name}"])),
            ("results in", f"{self._folder}/instances.json, {self._folder}/annotated/"),
        ]
        width = max(len(title) for title, _ in rows)
        return "\n".join(f"{title:<{width}}  {text}" for title, text in rows)

    def _add_panoptic(self, name: str, image_id: int, segmentation: Segmentation) -> None:
        assert segmentation.panoptic is not None
        height, width = segmentation.image_size
        file_name = f"{name if self._is_stream else PurePath(name).with_suffix('')}.png"
        if file_name in self._panoptic:  # a.jpg and a.png
            file_name = f"{name}.png"
        self._panoptic[file_name] = panoptic_annotation(segmentation.panoptic, file_name, image_id)
        self._panoptic_images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        colours = panoptic_png(segmentation.panoptic.segment_map)
        _write_image(self._folder / "panoptic" / file_name, np.ascontiguousarray(colours[..., ::-1]))

    def _write_json(self, name: str, content: object) -> None:
        (self._folder / name).write_text(json.dumps(content) + "\n")


def _options(
    defaults: SegmentOptions, labels: LabelSet, score_threshold: float | None, classes: Iterable[str] | None
) -> SegmentOptions:
    """The model's own options with what the user set; a panoptic map only if the model knows stuff."""
    if score_threshold is not None and not 0 <= score_threshold <= 1:
        raise ValueError(f"score threshold {score_threshold:g} is out of range; give a number from 0 to 1")
    return dataclasses.replace(
        defaults,
        score_threshold=defaults.score_threshold if score_threshold is None else score_threshold,
        classes=defaults.classes if classes is None else labels.ids(classes),
        panoptic=bool(labels.stuff),
    )


def _above(instances: Instances, score: float) -> Instances:
    """The instances with greater scores: the first ones, as they are sorted."""
    count = int(np.count_nonzero(instances.scores > score))
    return Instances(
        instances.boxes_xyxy[:count],
        instances.scores[:count],
        instances.class_ids[:count],
        instances.masks[:count],
        instances.ids[:count],
    )


def _write_image(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes BGR under the given name, as PNG (name.png) where OpenCV does not write its format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path if cv2.haveImageWriter(str(path)) else path.with_name(f"{path.name}.png")
    if not cv2.imwrite(str(target), picture):
        raise RuntimeError(f"{target}: cannot be written; is the disk full?")
