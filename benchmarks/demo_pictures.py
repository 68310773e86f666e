# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Draw the README's pictures of the demo's stream: what ~/debug_image shows, without a node.

    scripts/run python benchmarks/demo_pictures.py [--out docs]

writes DIR/demo.webp, an animation in real time, and DIR/demo.jpg, six frames on a sheet. It takes a minute.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seg_node.drawing.draw import draw_segmentation, encode_jpeg, to_bgr
from seg_node.inference.engine import Engine, choose_device
from seg_node.models.load import load_model
from seg_node.ros.demo.pictures import Picture, contact_sheet, spread
from seg_node.sources.source import read_bag
from seg_node.track import Tracker, TrackOptions, with_ids

ROOT = Path(__file__).resolve().parents[1]
SCORE_THRESHOLD = 0.5  # the node's
QUALITY, FRAME_MS = 60, 80  # under 3 MB; 12.5 Hz, as recorded
SHEET_PICTURES, SHEET_WIDTH, SHEET_QUALITY = 6, 1600, 88


def annotated(bag: Path) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Yield each image's stamp, its number of objects and its annotated picture, BGR."""
    engine = Engine(load_model("embedded"), choose_device("auto"))
    options = replace(engine.default_options, score_threshold=SCORE_THRESHOLD, panoptic=True)
    tracker = Tracker()
    for _, frame in read_bag(bag):
        segmentation = engine.segment(frame, options)
        ids = tracker.update(segmentation.instances, frame.stamp_ns, TrackOptions()).ids
        drawn = draw_segmentation(to_bgr(frame), with_ids(segmentation, ids), engine.labels, ids=True)
        yield frame.stamp_ns, len(ids), drawn


def write_animation(path: Path, pictures: list[NDArray[np.uint8]]) -> None:
    first, *others = [Image.fromarray(np.ascontiguousarray(picture[..., ::-1])) for picture in pictures]
    first.save(
        path, save_all=True, append_images=others, duration=FRAME_MS, loop=0, quality=QUALITY, method=4
    )


def write_sheet(path: Path, frames: list[tuple[int, int, NDArray[np.uint8]]]) -> None:
    chosen = [frames[index] for index in spread(len(frames), SHEET_PICTURES)]
    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for stamp_ns, count, drawn in chosen:
            file = Path(folder) / f"{stamp_ns}.png"
            cv2.imwrite(str(file), drawn)
            seconds = (stamp_ns - frames[0][0]) / 1e9
            pictures.append(Picture(file, stamp_ns, f"{seconds:.2f} s   {count} objects"))
        sheet = contact_sheet(pictures, "the demo's stream, segmented by the embedded model")
    size = SHEET_WIDTH, round(SHEET_WIDTH * sheet.shape[0] / sheet.shape[1])
    small = np.asarray(cv2.resize(sheet, size, interpolation=cv2.INTER_AREA), np.uint8)
    path.write_bytes(encode_jpeg(small, SHEET_QUALITY).tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder (default: docs)")
    out = parser.parse_args().out
    frames = list(annotated(ROOT / "demo/tabletop"))
    write_animation(out / "demo.webp", [drawn for *_, drawn in frames])
    write_sheet(out / "demo.jpg", frames)


if __name__ == "__main__":
    main()
