"""Camera frames from image files, videos, ROS bags and live cameras, all in one shape: (name, Frame).

The name is the image's file name, or `<video or bag>_<index>` where a frame has no file of its own.
"""

import glob
import itertools
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from seg_node.bags import BAG_SUFFIXES, describe_bag, is_bag, read_bag
from seg_node.types import Frame

__all__ = ["Source", "open_source", "read_bag", "read_camera", "read_image", "read_images", "read_video"]

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
VIDEO_SUFFIXES = {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"}

OnError = Callable[[str, Exception], None]
NamedFrames = Iterator[tuple[str, Frame]]
Grabbed = tuple[NDArray[np.uint8], int]  # BGR pixels, arrival in ns


@dataclass(frozen=True)
class Source:
    """Frames and what is known of them beforehand.

    name: of the video, bag or camera; for images that of the folder.
    names: of every frame, for images only (frames that cannot be read included).
    count: number of frames, None when unknown. fps: frames a second, None for images and cameras.
    """

    kind: Literal["images", "video", "bag", "camera"]
    name: str
    frames: NamedFrames
    names: tuple[str, ...] = ()
    count: int | None = None
    fps: float | None = None


def open_source(
    arguments: Sequence[str | Path], topic: str | None = None, on_error: OnError | None = None
) -> Source:
    """The frames of what a user named: image files, folders and globs, or one video, bag or camera.

    topic: image topic of a bag, None for its only one.
    on_error: told the name and error of each frame that cannot be read, which is then left out; without it
    the error is raised.

    Raises FileNotFoundError when nothing is there, ValueError for a mixture, a broken video or bag, an
    unclear topic, RuntimeError for a bag without the package rosbags.
    """
    if len(arguments) == 1:
        argument, path = str(arguments[0]), Path(arguments[0])
        if argument.isdecimal() or argument.startswith("/dev/video"):
            return Source("camera", path.name, read_camera(argument))
        if is_bag(path):
            bag = describe_bag(path, topic)
            return Source("bag", bag.name, read_bag(path, bag.topic, on_error), count=bag.count, fps=bag.fps)
        if path.suffix.lower() in VIDEO_SUFFIXES:
            count, fps = _describe_video(path)
            return Source("video", path.stem, read_video(path), count=count, fps=fps)
    for argument in map(str, arguments):
        if Path(argument).suffix.lower() in VIDEO_SUFFIXES | BAG_SUFFIXES or is_bag(Path(argument)):
            raise ValueError(f"{argument}: videos and bags are read one at a time, without other inputs")
    paths = _find_images(arguments)
    names = _image_names(paths)
    folder = paths[0].absolute().parent.name
    return Source("images", folder, read_images(paths, on_error), names=names, count=len(paths))


def read_image(path: str | Path) -> Frame:
    """One image file as 8-bit RGB.

    Turned upright as its EXIF orientation says (as image viewers, cv2.imread and Detectron2 do); 16-bit
    grey is scaled 65535 → 255; an alpha channel is left out.

    Raises ValueError with file and reason when it cannot be decoded completely.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode == "F":
                raise ValueError("pixels are floating point; convert the image to 8 bit")
            if image.mode.startswith("I"):
                image = Image.fromarray(((np.asarray(image, np.uint32) + 128) // 257).astype(np.uint8))
            return Frame(np.array(image.convert("RGB")), "rgb", frame_id="camera")
    except Exception as error:  # on damaged files Pillow's decoders raise errors of many kinds
        raise ValueError(f"{path}: cannot be read as an image ({error})") from error


def read_images(paths: Iterable[str | Path], on_error: OnError | None = None) -> NamedFrames:
    """Every image file in turn; see `read_image` and, for on_error, `open_source`."""
    files = [Path(path) for path in paths]
    for name, path in zip(_image_names(files), files, strict=True):
        try:
            frame = read_image(path)
        except ValueError as error:
            if on_error is None:
                raise
            on_error(name, error)
            continue
        yield name, frame


def read_video(path: str | Path) -> NamedFrames:
    """Every frame of a video file, BGR; stamps are the frames' times from the first one's 0.

    Raises FileNotFoundError, or ValueError when no frame can be decoded.
    """
    capture = _open_video(path)
    period_ms = 1000.0 / (capture.get(cv2.CAP_PROP_FPS) or 30.0)
    start_ms, time_ms = 0.0, -period_ms
    for index in itertools.count():
        read, pixels = capture.read()
        if not read:
            break
        position_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
        start_ms = position_ms if index == 0 else start_ms
        # Containers without usable time stamps give 0 or go backwards: count frame periods there.
        later = position_ms - start_ms > time_ms and position_ms >= start_ms
        time_ms = position_ms - start_ms if later else time_ms + period_ms
        yield (
            f"{Path(path).stem}_{index:06d}",
            Frame(pixels, "bgr", round(time_ms * 1e6), "camera"),
        )
    capture.release()


def read_camera(device: str | int, timeout_s: float = 5.0) -> NamedFrames:
    """Frames of a live camera without end, BGR, always the newest; stamped with the clock at arrival.

    device: "/dev/video0", or the camera's number.

    Raises RuntimeError when the camera cannot be opened or gives no frame for timeout_s seconds.
    """
    newest: queue.Queue[Grabbed | None] = queue.Queue(maxsize=1)
    stop = threading.Event()
    # Drivers can block in open and read without limit, so both happen in a thread of their own.
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
                    f"camera {device}: cannot be read; is it there, and free of other programs?"
                )
            yield f"camera_{index:06d}", Frame(grabbed[0], "bgr", grabbed[1], "camera")
    finally:
        stop.set()


def _grab(device: str, newest: "queue.Queue[Grabbed | None]", stop: threading.Event) -> None:
    """Keeps the camera's newest frame in the queue of one; None when the camera ends."""

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


def _open_video(path: str | Path) -> cv2.VideoCapture:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such video file")
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened() or not capture.grab():
        raise ValueError(f"{path}: no frame can be decoded; is it a video, and complete?")
    capture.release()
    return cv2.VideoCapture(str(path))


def _describe_video(path: Path) -> tuple[int | None, float]:
    """Frame count, None where the container does not say, and frames a second."""
    capture = _open_video(path)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    fps = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return (count if count > 0 else None), (fps if fps > 0 else 30.0)


def _find_images(arguments: Sequence[str | Path]) -> list[Path]:
    """Files in the order of the arguments; those of a folder or glob sorted by name.

    A named file that is missing stays in the list, as one that cannot be read, unless all are missing.
    """
    paths: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        elif glob.has_magic(str(argument)) and not path.exists():
            matches = map(Path, glob.glob(str(argument), recursive=True))
            found = sorted(file for file in matches if file.suffix.lower() in IMAGE_SUFFIXES)
        else:
            found = [path]
        if not found:
            raise FileNotFoundError(f"{argument}: no image there ({' '.join(sorted(IMAGE_SUFFIXES))})")
        paths += found
    if not any(path.is_file() for path in paths):
        raise FileNotFoundError(f"{paths[0]}: no such image, video, bag or folder")
    return paths


def _image_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """File names; where two are the same, paths from the folder that all share."""
    names = tuple(path.name for path in paths)
    if len(set(names)) == len(names):
        return names
    absolute = [path.absolute() for path in paths]
    shared = os.path.commonpath([path.parent for path in absolute])
    return tuple(path.relative_to(shared).as_posix() for path in absolute)
