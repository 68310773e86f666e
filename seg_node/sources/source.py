# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Open image files, videos, ROS bags and live cameras as iterators over (name, Frame).

The name is the image's file name, or `<video or bag>_<index>` for frames without a file of their own.
"""

import itertools
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.sources.bags.frames import describe_bag, is_bag, read_bag
from seg_node.sources.find_images import find_images, image_names, is_picture
from seg_node.sources.image_files import read_image, read_images
from seg_node.sources.left_out import OnError
from seg_node.sources.video_containers import find_container
from seg_node.sources.video_file import describe_video, read_video
from seg_node.types import Frame

__all__ = ["Source", "open_source", "read_bag", "read_camera", "read_image", "read_images", "read_video"]

# Files with these suffixes are opened as videos, and refused if they are not; others by their content.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts"}
    | {".wmv", ".asf", ".flv", ".ogv"}
)

NamedFrames = Iterator[tuple[str, Frame]]
Grabbed = tuple[NDArray[np.uint8], int]  # BGR pixels, arrival in ns


@dataclass(frozen=True)
class Source:
    """Frames and what is known about them in advance.

    name: of the video, bag or camera; for images, of the folder.
    paths: the image files, the video or the bag. names: of all frames, unreadable ones included; images only.
    count: number of frames, None if unknown. fps: frames per second, None for images and cameras.
    passed_over: files in folders and globs that are not images, such as "3 files: .txt (3)".
    """

    kind: Literal["images", "video", "bag", "camera"]
    name: str
    frames: NamedFrames
    paths: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    count: int | None = None
    fps: float | None = None
    passed_over: str = ""


def open_source(
    arguments: Sequence[str | Path], topic: str | None = None, on_error: OnError | None = None
) -> Source:
    """Open the input that a user names: image files, folders and globs, or one video, bag or camera.

    topic: image topic of a bag, None for its only one.
    on_error: called with the name and error of each frame that cannot be read, which is then skipped; without
    it the error is raised.

    Raises FileNotFoundError if nothing is found, ValueError for a mixture of inputs, a broken video or bag
    and an ambiguous topic, RuntimeError for a bag if the package rosbags is missing.
    """
    if len(arguments) == 1:
        argument, path = str(arguments[0]), Path(arguments[0])
        if argument.isdecimal() or argument.startswith("/dev/video"):
            return Source("camera", path.name, read_camera(argument))
        if is_bag(path):
            bag = describe_bag(path, topic)
            frames = read_bag(path, bag.topic, on_error)
            return Source("bag", bag.name, frames, (path,), count=bag.count, fps=bag.fps)
        if _is_video(path):
            count, fps = describe_video(path)
            return Source("video", path.stem, read_video(path, on_error), (path,), count=count, fps=fps)
    for path in map(Path, arguments):
        if not is_picture(path) and (_is_video(path) or is_bag(path)):
            raise ValueError(f"{path}: videos and bags are read one at a time, without other inputs")
    paths, passed_over = find_images(arguments)
    names = image_names(paths)
    folder = paths[0].absolute().parent.name
    frames = read_images(paths, on_error)
    return Source("images", folder, frames, tuple(paths), names, len(paths), passed_over=passed_over)


def _is_video(path: Path) -> bool:
    if not path.is_file():
        return False
    return path.suffix.lower() in VIDEO_SUFFIXES or find_container(path) is not None


def read_camera(device: str | int, timeout_s: float = 5.0) -> NamedFrames:
    """Read the newest frame of a live camera, endlessly: BGR, stamped with the time of arrival.

    device: "/dev/video0", or the camera's number.

    Raises RuntimeError if the camera cannot be opened, or delivers no frame for timeout_s seconds.
    """
    newest: queue.Queue[Grabbed | None] = queue.Queue(maxsize=1)
    stop = threading.Event()
    # Drivers can block forever in open and read, so both run in their own thread.
    threading.Thread(target=_grab, args=(str(device), newest, stop), daemon=True).start()
    try:
        for index in itertools.count():
            try:
                grabbed = newest.get(timeout=timeout_s)
            except queue.Empty:
                raise RuntimeError(
                    f"camera {device}: no frame for {timeout_s:g} s; check its cable"
                ) from None
            if grabbed is None:
                raise RuntimeError(
                    f"camera {device}: cannot be read; is it connected, and not in use by another program?"
                )
            yield f"camera_{index:06d}", Frame(grabbed[0], "bgr", grabbed[1], "camera")
    finally:
        stop.set()


def _grab(device: str, newest: "queue.Queue[Grabbed | None]", stop: threading.Event) -> None:
    """Keep the camera's newest frame in the queue, which holds one; put None when the camera ends."""

    def replace(item: Grabbed | None) -> None:
        with suppress(queue.Empty):
            newest.get_nowait()
        newest.put(item)

    capture = cv2.VideoCapture(int(device) if device.isdecimal() else device)
    try:
        while not stop.is_set():
            read, pixels = capture.read()
            if not read:
                break
            replace((pixels, time.time_ns()))
    finally:
        capture.release()
        replace(None)
