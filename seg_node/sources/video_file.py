# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read video files as frames with OpenCV's FFmpeg, which may open that one file and nothing else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.images.buffer import MAX_PIXELS
from seg_node.sources.left_out import OnError
from seg_node.sources.video_containers import CONTAINER_NAMES, CONTAINERS, find_container, is_cut
from seg_node.types import Frame
from seg_node.untrusted.descriptor import plain_name
from seg_node.untrusted.memory_limit import limited_memory

# OpenCV does not distinguish the end from a damaged frame: this many failures in a row are the end.
MAX_UNREADABLE_IN_A_ROW = 1000
# Each thread keeps its own frames, and more threads do not speed up videos of camera size.
MAX_THREADS = 4
_CAPTURE_OPTIONS = f"format_whitelist;{','.join(CONTAINERS)}|protocol_whitelist;file"
_QUIET = "-8"  # AV_LOG_QUIET, because errors are reported here in one line


def describe_video(path: str | Path) -> tuple[int | None, float]:
    """The number of frames (None if the file does not state it), and frames per second.

    Raises FileNotFoundError; ValueError if it is not a video, or no frame can be decoded.
    """
    capture = _open(path)
    count, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    has_frame = any(_read(capture) is not None for _ in range(MAX_UNREADABLE_IN_A_ROW))
    capture.release()
    if not has_frame:
        raise ValueError(f"{path}: no frame can be decoded; is it a video, and complete?")
    return (int(count) if 0 < count < 2**53 else None), (fps if 0 < fps < 1e6 else 30.0)


def read_video(path: str | Path, on_error: OnError | None = None) -> Iterator[tuple[str, Frame]]:
    """Read every frame of a video file, BGR; stamps are times since the first frame.

    on_error: called with the name and error of each frame that cannot be decoded, which is then skipped, and
    of the video if frames are missing at its end; without it the error, a ValueError, is raised.

    Raises FileNotFoundError; ValueError if it is not a video.
    """

    def report(name: str, text: str) -> None:
        error = ValueError(text)
        if on_error is None:
            raise ValueError(f"{path}: {text}")
        on_error(name, error)

    capture, stem = _open(path), Path(path).stem
    try:
        count, period_ms = (
            capture.get(cv2.CAP_PROP_FRAME_COUNT),
            1000.0 / (capture.get(cv2.CAP_PROP_FPS) or 30.0),
        )
        index = damaged = 0
        start_ms, time_ms = None, -period_ms
        while (found := _next_frame(capture)) is not None:
            skipped, pixels = found
            for _ in range(skipped):
                report(f"{stem}_{index:06d}", f"frame {index} cannot be decoded")
                index += 1
            damaged += skipped
            position_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
            start_ms = position_ms if start_ms is None else start_ms
            # Without usable timestamps OpenCV returns 0 or jumps back: add a frame period instead.
            later = position_ms - start_ms > time_ms and position_ms >= start_ms
            time_ms = position_ms - start_ms if later else time_ms + period_ms
            yield f"{stem}_{index:06d}", Frame(pixels, "bgr", round(time_ms * 1e6), "camera")
            index += 1
    finally:
        capture.release()
    if (index < count or count <= 0) and _loses_frames(path):
        total = f" of {count:.0f}" if count > 0 else ""
        report(stem, f"{index - damaged}{total} frames can be read: the file is cut off or damaged")


def _next_frame(capture: cv2.VideoCapture) -> tuple[int, NDArray[np.uint8]] | None:
    """Skip frames that cannot be decoded; return their number and the next good one, None at the end."""
    for skipped in range(MAX_UNREADABLE_IN_A_ROW):
        pixels = _read(capture)
        if pixels is not None:
            return skipped, pixels
    return None


def _read(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    try:
        with limited_memory():
            read, pixels = capture.read()
    except (cv2.error, MemoryError):
        return None
    return pixels if read else None


def _loses_frames(path: str | Path) -> bool:
    """Whether a lower number of frames than stated means that frames are missing.

    AVI stores the number of frames. MP4 also counts frames that are not shown, and for other containers the
    number is duration times rate: there frames are missing only if the file is truncated.
    """
    container = find_container(path)
    return container is not None and (container == "avi" or is_cut(path, container))


def _open(path: str | Path) -> cv2.VideoCapture:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such video file")
    if find_container(path) is None:
        raise ValueError(f"{path}: not a supported video ({CONTAINER_NAMES}; no playlists)")
    if not cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG):
        raise ValueError(f"{path}: this OpenCV has no FFmpeg and reads no videos; pip install opencv-python")
    threads = getattr(cv2, "CAP_PROP_N_THREADS", None)
    settings = [] if threads is None else [threads, min(MAX_THREADS, os.cpu_count() or 1)]
    # Opened by descriptor: OpenCV crashes on names that are not UTF-8, and FFmpeg expands patterns in names.
    with plain_name(path) as name, _options(), limited_memory():
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, settings)
    if not capture.isOpened():
        raise ValueError(f"{path}: no frame can be decoded; is it a video, and complete?")
    width, height = (int(capture.get(size)) for size in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MAX_PIXELS:
        raise ValueError(f"{path}: {width}x{height} is over {MAX_PIXELS // 10**6} megapixels; scale it down")
    return capture


@contextmanager
def _options() -> Iterator[None]:
    """Set FFmpeg's options while a video is opened: OpenCV reads them from the environment only."""
    ours = {"OPENCV_FFMPEG_CAPTURE_OPTIONS": _CAPTURE_OPTIONS, "OPENCV_FFMPEG_LOGLEVEL": _QUIET}
    before: dict[str, Any] = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
