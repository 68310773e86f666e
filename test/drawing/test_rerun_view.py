# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Data logged to Rerun, read back from a recording."""

import socket
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rerun", reason="rerun-sdk is not in this environment")

from recording import STATIC, entities, read_recording

from seg_node.drawing.palette import object_colour
from seg_node.drawing.rerun_view import NoViewer, View
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


def test_a_segmentation_is_a_mask_of_lasting_values_and_captioned_boxes(tmp_path: Path) -> None:
    view = View()
    view.save(tmp_path / "a.rrd")
    view.log_segmentation(STAMP_NS, two_objects(), LabelSet({3: "cup", 5: "bowl"}))
    view.close()
    logged = read_recording(tmp_path / "a.rrd")
    mask = np.array(logged["/scene/image/masks SegmentationImage:buffer"][STAMP_NS], np.uint8).reshape(SIZE)
    expected = [
        [0, 255, 255, 0, 0, 0],  # 510 is the last id of the second cycle of 255
        [0, 255, 255, 7, 7, 7],
        [0, 0, 7, 7, 7, 7],
        [0, 0, 7, 7, 7, 7],
    ]
    np.testing.assert_array_equal(mask, expected)
    assert logged["/scene/image/boxes Boxes2D:labels"][STAMP_NS] == ["cup 510 0.90", "bowl 7 0.75"]
    assert logged["/scene/image/boxes Boxes2D:class_ids"][STAMP_NS] == [255, 7]
    assert logged["/scene/image/boxes Boxes2D:centers"][STAMP_NS] == [[2.0, 1.0], [4.0, 2.5]]
    assert logged["/scene/image/boxes Boxes2D:half_sizes"][STAMP_NS] == [[1.0, 1.0], [2.0, 1.5]]


def test_masks_have_the_palettes_colours_and_the_background_none(tmp_path: Path) -> None:
    view = View()
    view.save(tmp_path / "a.rrd")
    view.close()
    (context,) = read_recording(tmp_path / "a.rrd")["/scene/image AnnotationContext:context"][STATIC]
    colours = [entry["class_description"]["info"]["color"] for entry in context]
    blue, green, red = object_colour(7)
    assert colours[0] == 0
    assert colours[7] == red << 24 | green << 16 | blue << 8 | 255


def test_an_empty_result_clears_what_was_shown(tmp_path: Path) -> None:
    view = View()
    view.save(tmp_path / "a.rrd")
    view.log_segmentation(STAMP_NS, two_objects(), LabelSet({}))
    view.log_segmentation(STAMP_NS + 1, Segmentation(SIZE, Instances.empty()), LabelSet({}))
    nothing = np.zeros((0, 3))
    view.log_objects(STAMP_NS + 1, [], [], nothing, np.zeros((0, 4)), nothing)
    view.close()
    logged = read_recording(tmp_path / "a.rrd")
    assert not np.any(logged["/scene/image/masks SegmentationImage:buffer"][STAMP_NS + 1])
    assert logged["/scene/image/boxes Boxes2D:half_sizes"][STAMP_NS + 1] == []
    assert logged["/scene/objects Boxes3D:half_sizes"][STAMP_NS + 1] == []


def test_the_picture_keeps_its_colours(tmp_path: Path) -> None:
    red = np.full((16, 24, 3), (200, 30, 10), np.uint8)
    view = View()
    view.save(tmp_path / "a.rrd")
    view.log_image(Frame(red, "rgb", STAMP_NS))
    view.close()
    blob = read_recording(tmp_path / "a.rrd")["/scene/image EncodedImage:blob"][STAMP_NS][0]
    pixels = cv2.imdecode(np.frombuffer(bytes(blob), np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (16, 24, 3)
    np.testing.assert_allclose(pixels.reshape(-1, 3).mean(axis=0), [10, 30, 200], atol=3)


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
