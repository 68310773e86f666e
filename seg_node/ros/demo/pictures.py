# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's pictures: a contact sheet, and a video that lasts as long as the stream did."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.drawing.video import AnnotatedVideo

COLUMNS = 3
CELL_WIDTH = 640
CAPTION_HEIGHT = 34
TITLE_HEIGHT = 52
GAP = 8
BACKGROUND, TEXT = (28, 28, 28), (235, 235, 235)
FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Picture:
    """An annotated frame: its JPEG file, its time in the stream, and the line to write below it."""

    path: Path
    stamp_ns: int
    caption: str


def spread(count: int, wanted: int) -> list[int]:
    """Choose at most `wanted` evenly spaced indices below count, including the first and the last."""
    if count <= wanted:
        return list(range(count))
    return [round(i * (count - 1) / (wanted - 1)) for i in range(wanted)]


def contact_sheet(pictures: Sequence[Picture], title: str) -> NDArray[np.uint8]:
    """Draw all pictures in a grid under a title, in cells of the first one's shape. Returns BGR pixels."""
    images = [_read(picture.path) for picture in pictures]
    columns = min(COLUMNS, len(images))
    rows = -(-len(images) // columns)
    height, width = images[0].shape[:2]
    cell_height = round(CELL_WIDTH * height / width)
    step_x, step_y = CELL_WIDTH + GAP, cell_height + CAPTION_HEIGHT + GAP
    sheet = np.full((TITLE_HEIGHT + rows * step_y, columns * step_x + GAP, 3), BACKGROUND, np.uint8)
    _write_line(sheet, title, (GAP + 4, TITLE_HEIGHT - 18), 0.8)
    for index, (image, picture) in enumerate(zip(images, pictures, strict=True)):
        row, column = divmod(index, columns)
        x, y = GAP + column * step_x, TITLE_HEIGHT + row * step_y
        sheet[y : y + cell_height, x : x + CELL_WIDTH] = _fit(image, (cell_height, CELL_WIDTH))
        _write_line(sheet, picture.caption, (x + 4, y + cell_height + CAPTION_HEIGHT - 11), 0.62)
    return sheet


def shown_frames(stamps_ns: Sequence[int], fps: float) -> list[int]:
    """Count the video frames for which each picture is shown: until the next one's stamp, at least 1.

    The last is shown as long as its predecessor, a single one for a second. Start times are rounded, not
    durations, so that errors do not add up.
    """
    starts = [(stamp - stamps_ns[0]) * fps / 1e9 for stamp in stamps_ns]
    end = starts[-1] + (starts[-1] - starts[-2] if len(starts) > 1 else fps)
    edges = [round(start) for start in [*starts, end]]
    return [max(1, after - before) for before, after in itertools.pairwise(edges)]


def write_video(path: Path, pictures: Sequence[Picture], fps: float) -> int:
    """Write an MPEG-4 video that shows each picture until the next one's stamp; return its number of frames.

    Raises RuntimeError when it cannot be written completely.
    """
    counts = shown_frames([picture.stamp_ns for picture in pictures], fps)
    video = AnnotatedVideo(path, fps)
    for picture, count in zip(pictures, counts, strict=True):
        image = _read(picture.path)
        for _ in range(count):
            video.write(image)
    video.close()
    return sum(counts)


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None, path
    return image


def _fit(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale the image to fit into (height, width), centred on the background."""
    height, width = size
    scale = min(height / image.shape[0], width / image.shape[1])
    fitted = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, fitted, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    cell = np.full((height, width, 3), BACKGROUND, np.uint8)
    y, x = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    cell[y : y + small.shape[0], x : x + small.shape[1]] = small
    return cell


def _write_line(sheet: NDArray[np.uint8], text: str, origin: tuple[int, int], size: float) -> None:
    """Write one line, smaller where it would not fit into the sheet."""
    width = cv2.getTextSize(text, FONT, size, 1)[0][0]
    fitting = size * min(1.0, (sheet.shape[1] - 2 * GAP) / width) if width else size
    cv2.putText(sheet, text, origin, FONT, fitting, TEXT, 1, cv2.LINE_AA)
