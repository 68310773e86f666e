# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The folder that `seg_node segment` writes: COCO files and pictures with the objects drawn."""

import dataclasses
import itertools
import json
import re
import shutil
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.drawing.draw import draw_segmentation, to_bgr
from seg_node.drawing.video import AnnotatedVideo
from seg_node.evaluation.coco import (
    categories,
    image_ids,
    instance_results,
    panoptic_annotation,
    panoptic_png,
)
from seg_node.sources.left_out import LeftOut
from seg_node.sources.source import Source
from seg_node.types import Frame, LabelSet, Segmentation
from seg_node.untrusted.output_files import make_folders, shortened, write_file
from seg_node.untrusted.printable import one_line

LONGEST_CLASS_NAME = 60  # in the table
_FILES = ("instances.json", "panoptic.json")
_FOLDERS = ("annotated", "panoptic")
# formats that OpenCV writes in colour; pictures in others become PNG
_WRITTEN_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
# the beginning of an instances.json of this command; evaluate's has no annotated/ beside it
_OURS = re.compile(rb'\[(\]|\{"image_id": \d+, "file_name": ")')


def make_folder(folder: Path) -> None:
    """Create the folder. Raises ValueError where a file has its name."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"--out {folder}: a file is in its place; name a folder, new or old") from error


def remove_old_results(folder: Path, inputs: Sequence[Path]) -> None:
    """Remove what `ResultFolder` wrote there before, if it did, and nothing else.

    Raises ValueError when one of the inputs lies where results are written.
    """
    places = [folder / name for name in _FOLDERS]
    for place in places:
        if place.is_symlink():
            raise ValueError(f"{place}: is a symbolic link, through which nothing is written; remove it")
    real = [place.resolve() for place in places]
    for path in inputs:
        if any(path.resolve().is_relative_to(place) for place in real):
            raise ValueError(f"{path}: is a result in {folder}, which is replaced; give another --out")
    if not _has_results(folder):
        return
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    for place in places:
        shutil.rmtree(place, ignore_errors=True)


def _has_results(folder: Path) -> bool:
    file = folder / _FILES[0]
    if not (file.is_file() and (folder / _FOLDERS[0]).is_dir()):
        return False
    with file.open("rb") as opened:
        return _OURS.match(opened.read(64)) is not None


class ResultFolder:
    """Write the results of one source: pictures at once, the JSON files at the end."""

    def __init__(self, folder: Path, source: Source, labels: LabelSet, draw_above: float) -> None:
        """draw_above: instances with greater scores are drawn."""
        self._folder = folder
        self._labels = labels
        self._draw_above = draw_above
        self._ids = dict(zip(source.names, image_ids(source.names), strict=True))
        self._next_id = itertools.count(1)
        self._is_stream = source.kind != "images"
        self._pictures: set[str] = set()
        make_folders(folder, PurePath("annotated"))
        self._video = AnnotatedVideo(
            folder / "annotated" / shortened(f"{source.name}.mp4"), source.fps or 30.0
        )
        self._frames = 0
        self._drawn = 0
        self._results: list[dict[str, Any]] = []
        self._panoptic: dict[str, dict[str, Any]] = {}  # by the name of the PNG
        self._panoptic_images: list[dict[str, Any]] = []
        self._stage_ms: dict[str, list[float]] = {}

    def add(self, name: str, frame: Frame, segmentation: Segmentation) -> None:
        image_id = next(self._next_id) if self._is_stream else self._ids[name]
        found = [
            {**result, "category_name": self._labels.name(result["category_id"])}
            for result in instance_results(segmentation.instances, frame.image_size, name, image_id)
        ]
        if self._is_stream:
            found = [{**result, "stamp_ns": frame.stamp_ns} for result in found]
        self._results += found
        self._frames += 1
        for stage, milliseconds in segmentation.stage_ms.items():
            self._stage_ms.setdefault(stage, []).append(milliseconds)
        if self._labels.stuff and segmentation.panoptic is not None:
            self._add_panoptic(name, image_id, segmentation)
        shown = dataclasses.replace(
            segmentation, instances=segmentation.instances.scored_over(self._draw_above)
        )
        self._drawn += len(shown.instances)
        picture = draw_segmentation(to_bgr(frame), shown, self._labels)
        if self._is_stream:
            self._video.write(picture)
        else:
            self._write_picture(name, picture)

    def finish(self) -> None:
        """Close the video and write the JSON files."""
        try:
            self._video.close()
        finally:
            self._write_json("instances.json", self._results)
            if self._labels.stuff:
                panoptic = {
                    "images": self._panoptic_images,
                    "annotations": list(self._panoptic.values()),
                    "categories": categories(self._labels),
                }
                self._write_json("panoptic.json", panoptic)

    def table(self, left_out: LeftOut, device_name: str, stopped: str = "") -> str:
        """Summarise the run for the terminal. stopped: a note about its interruption."""
        missed = f"  ({left_out.count} could not be read: {left_out.names})" if left_out.count else ""
        counts = Counter(result["category_name"] for result in self._results)
        medians = (f"{stage} {statistics.median(times):.1f}" for stage, times in self._stage_ms.items())
        written = ["instances.json", "annotated/"]
        if self._labels.stuff:
            written += ["panoptic.json", "panoptic/"]
        rows = [
            ("frames" if self._is_stream else "images", f"{self._frames}{stopped}{missed}"),
            ("instances", str(len(self._results))),
            ("drawn", f"{self._drawn}, scored over {self._draw_above:g}"),
            *(
                (f"  {one_line(name, LONGEST_CLASS_NAME)}", str(count))
                for name, count in counts.most_common()
            ),
            *self._panoptic_rows(),
            ("median ms", "  ".join([*medians, f"on {device_name}"])),
            ("results in", ", ".join(f"{self._folder}/{name}" for name in written)),
        ]
        width = max(len(title) for title, _ in rows)
        return "\n".join(f"{title:<{width}}  {text}" for title, text in rows)

    def _panoptic_rows(self) -> list[tuple[str, str]]:
        if not self._labels.stuff:
            return []
        of_things = [info["isthing"] for found in self._panoptic.values() for info in found["segments_info"]]
        things = sum(of_things)
        return [
            ("panoptic segments", f"{len(of_things)}  ({things} things, {len(of_things) - things} stuff)")
        ]

    def _add_panoptic(self, name: str, image_id: int, segmentation: Segmentation) -> None:
        assert segmentation.panoptic is not None
        height, width = segmentation.image_size
        stem = name if self._is_stream else str(PurePath(name).with_suffix(""))
        names = itertools.chain([stem], (name + ".png" * more for more in itertools.count()))
        options = (shortened(f"{option}.png") for option in names)
        # a.jpg and a.png share a stem
        file_name = next(option for option in options if option not in self._panoptic)
        self._panoptic[file_name] = panoptic_annotation(segmentation.panoptic, file_name, image_id)
        self._panoptic_images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        colours = panoptic_png(segmentation.panoptic.segment_map)
        self._write("panoptic", file_name, _encode(".png", np.ascontiguousarray(colours[..., ::-1])))

    def _write_picture(self, name: str, picture: NDArray[np.uint8]) -> None:
        """Write BGR under its image's name, as PNG (name.png) where OpenCV does not write that format."""
        suffix = PurePath(name).suffix.lower()
        encoded = _encode(suffix, picture) if suffix in _WRITTEN_SUFFIXES else None
        if encoded is None:
            name, encoded = shortened(f"{name}.png"), _encode(".png", picture)
        while name in self._pictures:  # a.gif, which became a.gif.png, and another a.gif.png
            name = shortened(f"{name}.png")
        self._pictures.add(name)
        self._write("annotated", name, encoded)

    def _write_json(self, name: str, content: object) -> None:
        write_file(self._folder, name, f"{json.dumps(content)}\n".encode())

    def _write(self, below: str, name: str, encoded: bytes | None) -> None:
        if encoded is None:
            raise RuntimeError(f"{self._folder / below / name}: OpenCV cannot write a picture of this size")
        write_file(self._folder, f"{below}/{name}", encoded)


def _encode(suffix: str, picture: NDArray[np.uint8]) -> bytes | None:
    """Encode the picture, BGR, for that suffix; None where the format does not allow its size."""
    try:
        done, encoded = cv2.imencode(suffix, picture)
    except cv2.error:
        return None
    return encoded.tobytes() if done else None
