# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Data logged to Rerun, read back from a recording."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rerun", reason="rerun-sdk is not in this environment")

from recording import STATIC, entities, read_recording

from seg_node.drawing.draw import draw_segmentation, encode_jpeg
from seg_node.drawing.rerun_view import JPEG_QUALITY, NoViewer, View
from seg_node.spatial.pinhole import Pinhole
from seg_node.types import Frame, Instances, LabelSet, MaskCrop, Segmentation

STAMP_NS = 1_700_000_000_123_456_789
SIZE = (4, 6)


def two_objects() -> Segmentation:
    """A cup with a lasting id beyond 255 over a bowl."""
    return Segmentation(
        SIZE,
        Instances(
            boxes_xyxy=np.array([[1, 0, 3, 2], [2, 1, 6, 4]], np.float32),
            scores=np.array([0.9, 0.75], np.float32),
            class_ids=np.array([3, 5], np.int32),
            masks=(MaskCrop(1, 0, np.ones((2, 2), np.bool_)), MaskCrop(2, 1, np.ones((3, 4), np.bool_))),
            ids=np.array([510, 7], np.uint32),
        ),
    )


def picture_at(logged: dict[str, dict[int, list[Any]]], stamp_ns: int) -> np.ndarray:
    blob = logged["/scene/image EncodedImage:blob"][stamp_ns][0]
    return np.asarray(cv2.imdecode(np.frombuffer(bytes(blob), np.uint8), cv2.IMREAD_COLOR))


def test_image_and_objects_are_one_entity(tmp_path: Path) -> None:
    """Entities of their own reach the screen at different times."""
    view = View()
    view.save(tmp_path / "a.rrd")
    labels = LabelSet({3: "cup", 5: "bowl"})
    frames = [Frame(np.full((*SIZE, 3), 60 * i, np.uint8), "bgr", STAMP_NS + i) for i in range(2)]
    for frame in frames:
        view.log_result(frame, two_objects(), labels)
    view.close()
    logged = read_recording(tmp_path / "a.rrd")
    assert {entity for entity in entities(logged) if "scene" in entity} == {"/scene/image"}
    for frame in frames:
        drawn = draw_segmentation(frame.pixels, two_objects(), labels, ids=True)
        expected = cv2.imdecode(encode_jpeg(drawn, JPEG_QUALITY), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(picture_at(logged, frame.stamp_ns), expected)


def test_an_empty_result_clears_what_was_shown(tmp_path: Path) -> None:
    view = View()
    view.save(tmp_path / "a.rrd")
    red = Frame(np.full((*SIZE, 3), (200, 30, 10), np.uint8), "rgb", STAMP_NS + 1)
    view.log_result(replace(red, stamp_ns=STAMP_NS), two_objects(), LabelSet({}))
    view.log_result(red, Segmentation(SIZE, Instances.empty()), LabelSet({}))
    nothing = np.zeros((0, 3))
    view.log_objects(STAMP_NS + 1, [], [], nothing, np.zeros((0, 4)), nothing)
    view.close()
    logged = read_recording(tmp_path / "a.rrd")
    assert picture_at(logged, STAMP_NS + 1).shape == (*SIZE, 3)
    np.testing.assert_allclose(picture_at(logged, STAMP_NS + 1).reshape(-1, 3) - [[10.0, 30, 200]], 0, atol=3)
    assert np.abs(picture_at(logged, STAMP_NS) - np.array([10.0, 30, 200])).max() > 50
    assert logged["/scene/objects Boxes3D:half_sizes"][STAMP_NS + 1] == []


def test_every_stage_has_a_colour_that_differs_from_all_others(tmp_path: Path) -> None:
    view = View()
    view.save(tmp_path / "a.rrd")
    view.close()
    logged = read_recording(tmp_path / "a.rrd")
    lines = (Path(__file__).parents[2] / "msg/FrameTiming.msg").read_text().splitlines()
    stages = [line.split()[1].removesuffix("_ms") for line in lines if line.startswith("float32")]
    colours = []
    for stage in stages:
        (rgba,) = logged[f"/timing/{stage} SeriesLines:colors"][STATIC]
        colours.append([rgba >> shift & 255 for shift in (24, 16, 8)])
    apart = np.abs(np.array(colours)[:, None] - np.array(colours)[None]).sum(axis=2)
    assert apart[~np.eye(len(stages), dtype=bool)].min() > 80
    brightness = np.array(colours).mean(axis=1)  # of curves that stand out from black and from white
    assert brightness.min() > 80 and brightness.max() < 180


def test_objects_stand_where_the_picture_shows_them(tmp_path: Path) -> None:
    view = View("front")
    view.save(tmp_path / "a.rrd")
    half = np.sqrt(0.5)
    view.log_pinhole(STAMP_NS, Pinhole(500.0, 510.0, 319.5, 239.5, (480, 640)))
    centres, quaternions = np.array([[0.1, 0.2, 0.9]]), np.array([[0, 0, half, half]])
    view.log_objects(STAMP_NS, [7], ["cup 7"], centres, quaternions, np.full((1, 3), 0.08))
    points, rgb = np.array([[0, 0, 1], [0.5, 0, 1]], np.float32), np.array([[255, 0, 1], [0, 2, 0]], np.uint8)
    view.log_cloud(STAMP_NS, points, rgb)
    view.log_timing(STAMP_NS, {"infer": 104.5})
    view.close()
    logged = read_recording(tmp_path / "a.rrd")
    # Column-major. Rerun's pixel (0, 0) starts at 0, CameraInfo's is centred there.
    matrix = [500, 0, 0, 0, 510, 0, 320, 240, 1]
    assert logged["/front/scene/image Pinhole:image_from_camera"][STAMP_NS] == [matrix]
    boxes = "/front/scene/objects Boxes3D"
    np.testing.assert_allclose(logged[f"{boxes}:centers"][STAMP_NS], [[0.1, 0.2, 0.9]], atol=1e-6)
    np.testing.assert_allclose(logged[f"{boxes}:half_sizes"][STAMP_NS], [[0.04, 0.04, 0.04]], atol=1e-6)
    np.testing.assert_allclose(logged[f"{boxes}:quaternions"][STAMP_NS], [[0, 0, half, half]], atol=1e-6)
    assert logged["/front/scene/cloud Points3D:positions"][STAMP_NS] == points.tolist()
    assert logged["/front/scene/cloud Points3D:colors"][STAMP_NS] == [0xFF0001FF, 0x000200FF]
    assert logged["/front/timing/infer Scalars:scalars"][STAMP_NS] == [104.5]
    assert all(entity.startswith("/front/") for entity in entities(logged))


def test_a_missing_folder_is_reported_before_recording(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        View().save(tmp_path / "missing" / "a.rrd")


def test_without_a_display_no_window_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NoViewer, match="no display"):
        View().open_window()


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeError, match=f"port {port}: .* choose another"):
            View().serve(port, 9876)
