# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Write annotated images as a video file."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.untrusted.output_files import new_file

# MPEG-4 part 2 stores sizes in 13 bits. OpenCV's writer needs whole chroma pixels, 2x2.
_MIN_SIDE, _MAX_SIDE = 2, 8190


class AnnotatedVideo:
    """An mp4 file, opened with its first image; images of other sizes are scaled to the size of the first.

    The codec is MPEG-4 part 2, which VLC, mpv, Totem and ffmpeg play but browsers do not: OpenCV's wheel has
    no H.264, and its VP9 takes 100 ms per frame. The file appears under its name when it is closed.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        # The format stores the rate as a ratio of 16-bit numbers: two decimals fit.
        self._fps = round(min(max(fps, 0.1), 240.0), 2)
        self._size = (0, 0)
        self._frames = 0
        self._writer: cv2.VideoWriter | None = None
        self._file = ExitStack()

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Add an image, (H, W, 3) BGR. Raises RuntimeError if OpenCV cannot write the video."""
        writer = self._writer or self._open(picture.shape[1], picture.shape[0])
        if picture.shape[1::-1] != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        writer.write(picture)
        self._frames += 1

    def close(self) -> None:
        """Finish the file. Raises RuntimeError if frames are missing in it."""
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        with self._file:
            # The writer reports no error on a full disk, so count the frames.
            with _opencv_name(self._part) as name:
                written = cv2.VideoCapture(name, cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT)
            if written != self._frames:
                raise RuntimeError(f"{self._path}: cannot be written completely; is the disk full?")

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        scale = min(1.0, _MAX_SIDE / max(width, height))
        self._size = max(int(width * scale), _MIN_SIDE), max(int(height * scale), _MIN_SIDE)
        self._part = self._file.enter_context(new_file(self._path.parent, self._path.name))
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        with _opencv_name(self._part) as name:
            writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, fourcc, self._fps, self._size)
        if not writer.isOpened():
            raise RuntimeError(f"{self._path}: OpenCV cannot write this video; is the folder writable?")
        self._writer = writer
        return writer


@contextmanager
def _opencv_name(path: Path) -> Iterator[str]:
    """Yield a path that OpenCV can open: for one that is not UTF-8, on which it crashes, by descriptor."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            yield f"/dev/fd/{folder}/{path.name}"
        finally:
            os.close(folder)
    else:
        yield str(path)
