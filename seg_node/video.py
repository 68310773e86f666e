"""Annotated pictures as a video file."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


class AnnotatedVideo:
    """An mp4 that begins with its first picture; pictures of another size are scaled to the first's.

    MPEG-4 part 2: of the codecs that mp4 takes, OpenCV's wheel has no H.264, and VP9 takes it 100 ms
    a frame): VLC, mpv, Totem and ffmpeg play it, browsers do not.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        # The format stores the rate as a ratio of 16-bit numbers: two decimals fit.
        self._fps = round(min(max(fps, 0.1), 240.0), 2)
        self._size = (0, 0)
        self._writer: cv2.VideoWriter | None = None

    def write(self, picture: NDArray[np.uint8]) -> None:
        """picture: (H, W, 3) BGR. Raises RuntimeError when OpenCV cannot write videos here."""
        if self._writer is None:
            self._size = picture.shape[1], picture.shape[0]
            fourcc = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._path), fourcc, self._fps, self._size)
            if not self._writer.isOpened():
                raise RuntimeError(f"{self._path}: OpenCV cannot write this video; is the folder writable?")
        if picture.shape[1::-1] != self._size:
            picture = cv2.resize(picture, self._size)
        self._writer.write(picture)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()
