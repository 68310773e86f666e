# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Sources of tiny files made here; test_bags.py has bags."""

import itertools
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from seg_node.sources import source as source_module
from seg_node.sources.source import open_source, read_camera, read_image, read_images, read_video

RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.integers(0, 256, (12, 20, 3), np.uint8)  # RGB, wider than high


def save(path: Path, pixels: np.ndarray = PICTURE, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def make_video(path: Path, greys: list[int], fps: float = 10.0, codec: str = "mp4v") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for grey in greys:
        writer.write(np.full((48, 64, 3), (grey, grey // 2, 0), np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm"])
def test_an_image_is_read_as_rgb(tmp_path: Path, name: str) -> None:
    frame = read_image(save(tmp_path / name))
    assert (frame.channels, frame.image_size) == ("rgb", (12, 20))
    np.testing.assert_array_equal(frame.pixels, PICTURE)


def test_a_jpeg_has_opencvs_pixels(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", quality=90)
    np.testing.assert_array_equal(read_image(path).pixels[..., ::-1], cv2.imread(str(path)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_rotated_upright_as_by_opencv(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.jpg", exif=exif, quality=95)
    frame = read_image(path)
    assert frame.image_size == ((12, 20) if orientation < 5 else (20, 12))
    np.testing.assert_array_equal(frame.pixels[..., ::-1], cv2.imread(str(path)))


def test_grey_16_bit_and_alpha_become_8_bit_rgb(tmp_path: Path) -> None:
    grey = PICTURE[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_image(save(tmp_path / "grey.png", grey)).pixels, expected)
    wide = save(tmp_path / "wide.png", grey.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(wide).pixels, expected)
    alpha = save(tmp_path / "alpha.png", np.dstack([PICTURE, grey]))
    np.testing.assert_array_equal(read_image(alpha).pixels, PICTURE)


def test_unreadable_images_are_reported_and_the_others_read(tmp_path: Path) -> None:
    good = save(tmp_path / "good.png")
    text = tmp_path / "text.png"
    text.write_text("not an image")
    cut = save(tmp_path / "cut.jpg", RANDOM.integers(0, 256, (200, 200, 3), np.uint8))
    cut.write_bytes(cut.read_bytes()[:-2000])
    empty = tmp_path / "empty.jpg"
    empty.touch()
    paths = [text, cut, tmp_path / "missing.png", good, empty]
    told: list[str] = []
    read = list(read_images(paths, lambda name, error: told.append(f"{name} {error}")))
    assert [name for name, _ in read] == ["good.png"]
    assert [line.split()[0] for line in told] == ["text.png", "cut.jpg", "missing.png", "empty.jpg"]
    assert str(text) in told[0] and "truncated" in told[1]
    with pytest.raises(ValueError, match=r"text\.png: cannot be read as an image"):
        list(read_images(paths))


def test_images_come_from_files_folders_and_globs_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "C.JPG", "deep/d.png"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    source = open_source([tmp_path])
    assert (source.kind, source.count, source.fps) == ("images", 3, None)
    assert source.names == ("C.JPG", "a.png", "b.png")
    assert [name for name, _ in source.frames] == ["C.JPG", "a.png", "b.png"]
    assert open_source([f"{tmp_path}/*.png"]).names == ("a.png", "b.png")
    assert open_source([f"{tmp_path}/**/*.png"]).names == ("a.png", "b.png", "d.png")
    assert open_source([tmp_path / "b.png", tmp_path / "deep"]).names == ("b.png", "d.png")


def test_equal_file_names_get_their_folder(tmp_path: Path) -> None:
    paths = [save(tmp_path / "left/1.png"), save(tmp_path / "right/1.png"), save(tmp_path / "right/2.png")]
    assert open_source(paths).names == ("left/1.png", "right/1.png", "right/2.png")


def test_a_missing_path_is_named_in_the_error(tmp_path: Path) -> None:
    for argument in (
        tmp_path / "no.jpg",
        tmp_path,
        f"{tmp_path}/*.jpg",
        tmp_path / "no.mp4",
        tmp_path / "no.mcap",
    ):
        with pytest.raises(FileNotFoundError, match=str(tmp_path)):
            open_source([argument])
    video = make_video(tmp_path / "v.mp4", [0])
    with pytest.raises(ValueError, match=r"v\.mp4: videos and bags are read one at a time"):
        open_source([save(tmp_path / "a.png"), video])


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "mp4v"), ("clip.avi", "MJPG")])
def test_a_video_gives_all_frames_with_their_times(tmp_path: Path, name: str, codec: str) -> None:
    greys = [20, 80, 140, 200]
    source = open_source([make_video(tmp_path / name, greys, codec=codec)])
    assert (source.kind, source.name, source.count, source.fps) == ("video", "clip", 4, 10.0)
    frames = list(source.frames)
    assert [name for name, _ in frames] == [f"clip_00000{index}" for index in range(4)]
    assert [frame.stamp_ns for _, frame in frames] == [0, 100_000_000, 200_000_000, 300_000_000]
    for grey, (_, frame) in zip(greys, frames, strict=True):
        assert (frame.channels, frame.image_size, frame.frame_id) == ("bgr", (48, 64), "camera")
        assert np.abs(frame.pixels.reshape(-1, 3).mean(axis=0) - (grey, grey // 2, 0)).max() < 8


def test_video_stamps_rise_where_the_container_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "clip.mp4", [0, 50, 100], fps=20.0)

    class Timeless:
        def __init__(self, *arguments: object, capture: type = cv2.VideoCapture) -> None:
            self._capture = capture(*arguments)

        def get(self, property: int) -> float:
            return 0.0 if property == cv2.CAP_PROP_POS_MSEC else self._capture.get(property)

        def __getattr__(self, name: str) -> object:
            return getattr(self._capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", Timeless)
    assert [frame.stamp_ns for _, frame in read_video(path)] == [0, 50_000_000, 100_000_000]


def test_a_broken_video_is_refused_before_reading(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 1000)
    with pytest.raises(ValueError, match=r"broken\.mp4: not a supported video"):
        open_source([tmp_path / "broken.mp4"])
    whole = make_video(tmp_path / "whole.mp4", [0, 50]).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.mp4: no frame can be decoded"):
        open_source([tmp_path / "cut.mp4"])


class FakeCamera:
    """A camera that delivers `count` frames, then blocks forever or ends."""

    def __init__(self, count: int, blocks: bool) -> None:
        self._pixels = iter(np.full((4, 6, 3), index % 256, np.uint8) for index in range(count))
        self._blocks = blocks
        self.released = threading.Event()

    def read(self) -> tuple[bool, np.ndarray | None]:
        pixels = next(self._pixels, None)
        if pixels is None and self._blocks:
            self.released.wait()
        return pixels is not None, pixels

    def release(self) -> None:
        self.released.set()


@pytest.mark.parametrize(("blocks", "message"), [(True, "no frame for 0.2 s"), (False, "cannot be read")])
def test_a_camera_that_stops_raises_instead_of_waiting(
    monkeypatch: pytest.MonkeyPatch, blocks: bool, message: str
) -> None:
    camera = FakeCamera(3, blocks)
    monkeypatch.setattr(source_module.cv2, "VideoCapture", lambda device: camera)
    received = []
    with pytest.raises(RuntimeError, match=f"camera /dev/video0: {message}"):
        for _, frame in read_camera("/dev/video0", timeout_s=0.2):
            received.append((int(frame.pixels[0, 0, 0]), frame.stamp_ns))
    values, stamps = zip(*received, strict=True) if received else ((), ())
    assert list(values) == sorted(set(values)) and list(stamps) == sorted(stamps)
    if blocks:
        assert values[-1] == 2, "the newest frame arrives"
    camera.released.set()


def test_a_closed_camera_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = FakeCamera(10**9, blocks=False)
    monkeypatch.setattr(source_module.cv2, "VideoCapture", lambda device: camera)
    source = open_source(["0"])
    assert (source.kind, source.count) == ("camera", None)
    frames = source.frames
    for name, frame in itertools.islice(frames, 3):
        assert name.startswith("camera_") and frame.image_size == (4, 6)
    frames.close()
    assert camera.released.wait(5)


def test_an_absent_camera_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="camera /dev/video97: cannot be read"):
        next(read_camera("/dev/video97", timeout_s=10))
