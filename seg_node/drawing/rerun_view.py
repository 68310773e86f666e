"""Frames and results in a Rerun viewer or recording. No ROS.

Entities, all under the camera's name where one is given, at the time `stamp`, that of the source image:

    scene                       the optical frame: x right, y down, z forward, metres
    scene/image                 the picture and, where the camera is known, its pinhole
    scene/image/masks, boxes    each object in the colour of its id; names and scores
    scene/objects, scene/cloud  oriented boxes and points
    timing/wait … timing/age    milliseconds of each stage

Rerun changes from version to version: what is used here exists alike from 0.24 to 0.41.
"""

import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seg_node.drawing.draw import encode_jpeg, to_bgr
from seg_node.drawing.palette import object_colour
from seg_node.masks.panoptic import instance_map
from seg_node.spatial.pinhole import Pinhole
from seg_node.types import Frame, LabelSet, Segmentation

try:
    import rerun as rr
    import rerun.blueprint as rrb
except ImportError as error:  # missing, or PyPI's other package of that name
    raise RuntimeError(f"the viewer is not installed ({error}): pip install 'rerun-sdk>=0.24'") from error

TIMELINE = "stamp"
JPEG_QUALITY = 85
MASK_OPACITY = 0.5
# Of what the viewer, or the server for browsers, keeps; then the oldest is dropped.
MEMORY_LIMIT = "2GB"
VIEWER_PORT = 9876  # Rerun's own default
IMAGE_PLANE_M = 0.15
POINT_RADIUS_M = 0.0015


class NoViewer(RuntimeError):
    """No window can be opened on this computer."""


class View:
    """One camera's frames and results. First `open_window`, `serve` or `save`, then any of the log_… ."""

    def __init__(self, camera: str = "") -> None:
        """camera: its name, first part of all entity paths; empty for the only one."""
        self._root = f"{camera}/" if camera else ""
        # The viewer keeps a layout for each application id.
        self._recording = rr.RecordingStream(f"seg_node {camera}".strip())
        self._shows_scene = False

    # --- where to ---------------------------------------------------------------------------------

    def open_window(self) -> None:
        """In a viewer's window: a running one, or a new one.

        Raises NoViewer when there is no display or no viewer.
        """
        displays = ("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET")
        if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in displays):
            raise NoViewer("there is no display ($DISPLAY and $WAYLAND_DISPLAY are empty)")
        try:
            self._recording.spawn(memory_limit=MEMORY_LIMIT)
            socket.create_connection(("127.0.0.1", VIEWER_PORT), 1.0).close()  # it may have ended at once
        except (OSError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise NoViewer(f"Rerun's viewer did not start: {reason}") from error
        self._begin()

    def serve(self, web_port: int, grpc_port: int) -> str:
        """For browsers; gives the address to open on this computer. Raises RuntimeError for a taken port."""
        for port in (web_port, grpc_port):
            _check_free(port)
        source = self._recording.serve_grpc(grpc_port=grpc_port, server_memory_limit=MEMORY_LIMIT)
        rr.serve_web_viewer(web_port=web_port, open_browser=False, connect_to=source)
        self._begin()
        return f"http://localhost:{web_port}/?url=rerun%2Bhttp://localhost:{grpc_port}/proxy"

    def save(self, file: Path) -> None:
        """Into a recording (.rrd), for `rerun FILE` later. Raises FileNotFoundError without its folder."""
        check_folder(file)
        self._recording.save(file)
        self._begin()

    def close(self) -> None:
        """Everything logged is written or sent when this returns."""
        self._recording.disconnect()

    # --- what -------------------------------------------------------------------------------------

    def log_image(self, frame: Frame) -> None:
        """The picture, as JPEG: a recording of raw pixels would fill memory and disk ten times faster.

        Raises ValueError for a picture that no JPEG holds.
        """
        jpeg = encode_jpeg(to_bgr(frame), JPEG_QUALITY)
        image = rr.EncodedImage(contents=jpeg.tobytes(), media_type="image/jpeg")
        self._log("scene/image", image, frame.stamp_ns)

    def log_segmentation(self, stamp_ns: int, segmentation: Segmentation, labels: LabelSet) -> None:
        """Masks, where they overlap that of the higher score, and boxes with name, id and score."""
        found = segmentation.instances
        ids, scores = found.ids.tolist(), found.scores.tolist()
        names = [labels.name(class_id) for class_id in found.class_ids.tolist()]
        # instance_map counts the objects of the frame, a mask's value is to last as its id does.
        value_of = np.array([0, *map(_mask_value, ids)], np.uint8)
        pixels = value_of[instance_map(found, segmentation.image_size)]
        self._log("scene/image/masks", rr.SegmentationImage(pixels, opacity=MASK_OPACITY), stamp_ns)
        boxes = rr.Boxes2D(
            array=found.boxes_xyxy,
            array_format=rr.Box2DFormat.XYXY,
            class_ids=[_mask_value(instance_id) for instance_id in ids],
            labels=[f"{name} {i} {score:.2f}" for name, i, score in zip(names, ids, scores, strict=True)],
        )
        self._log("scene/image/boxes", boxes, stamp_ns)

    def log_pinhole(self, stamp_ns: int, pinhole: Pinhole) -> None:
        height, width = pinhole.image_size
        camera = rr.Pinhole(
            focal_length=(pinhole.fx, pinhole.fy),
            # Rerun's pixel (0, 0) begins at 0, CameraInfo's has its centre there.
            principal_point=(pinhole.cx + 0.5, pinhole.cy + 0.5),
            resolution=(width, height),
            image_plane_distance=IMAGE_PLANE_M,
        )
        self._log("scene/image", camera, stamp_ns)

    def log_objects(
        self,
        stamp_ns: int,
        ids: Sequence[int],
        captions: Sequence[str],
        centres: NDArray[np.float64],
        quaternions_xyzw: NDArray[np.float64],
        sizes: NDArray[np.float64],
    ) -> None:
        """N oriented boxes. centres, sizes: (N, 3) metres; quaternions_xyzw: (N, 4)."""
        self._show_scene()
        boxes = rr.Boxes3D(
            centers=centres,
            quaternions=quaternions_xyzw,
            sizes=sizes,
            colors=[_rgb(instance_id) for instance_id in ids],
            labels=captions,
        )
        self._log("scene/objects", boxes, stamp_ns)

    def log_cloud(self, stamp_ns: int, points: NDArray[np.float32], rgb: NDArray[np.uint8] | None) -> None:
        """points: (N, 3) metres. rgb: (N, 3), None where the cloud has no colours."""
        self._show_scene()
        self._log("scene/cloud", rr.Points3D(points, colors=rgb, radii=POINT_RADIUS_M), stamp_ns)

    def log_timing(self, stamp_ns: int, milliseconds: Mapping[str, float]) -> None:
        """milliseconds: stage → its time, as in {"infer": 104.0}."""
        for stage, value in milliseconds.items():
            self._log(f"timing/{stage}", rr.Scalars(value), stamp_ns)

    # --- how --------------------------------------------------------------------------------------

    def _begin(self) -> None:
        # Static: a viewer drops old frames to save memory, and what is static never.
        self._recording.log(f"{self._root}scene/image", _colours(), static=True)
        self._lay_out()

    def _log(self, path: str, entity: object, stamp_ns: int) -> None:
        """A source without a stamp is shown at the time it came."""
        stamp = np.datetime64(stamp_ns or time.time_ns(), "ns")
        self._recording.set_time(TIMELINE, timestamp=stamp)
        self._recording.log(self._root + path, entity)

    def _show_scene(self) -> None:
        """The space view appears with the first thing in it: without depth there is none."""
        if not self._shows_scene:
            self._shows_scene = True
            self._recording.log(f"{self._root}scene", rr.ViewCoordinates.RDF, static=True)
            self._lay_out()

    def _lay_out(self) -> None:
        scene, image = f"/{self._root}scene", f"/{self._root}scene/image"
        side = [rrb.TimeSeriesView(name="milliseconds", origin=f"/{self._root}timing")]
        if self._shows_scene:
            contents = ["$origin/**", f"- {image}/boxes/**"]
            side.insert(0, rrb.Spatial3DView(name="objects", origin=scene, contents=contents))
        picture = rrb.Spatial2DView(name="image", origin=image)
        blueprint = rrb.Blueprint(
            rrb.Horizontal(picture, rrb.Vertical(*side), column_shares=[3, 2]),
            rrb.TimePanel(state="collapsed"),
            collapse_panels=True,
        )
        self._recording.send_blueprint(blueprint)


def check_folder(file: Path) -> None:
    """Raises FileNotFoundError when there is no folder to write the file into."""
    if not file.absolute().parent.is_dir():
        raise FileNotFoundError(f"{file}: there is no folder {file.parent} to write it into")


def _check_free(port: int) -> None:
    """Rerun only logs that its data's port is taken, and goes on."""
    try:
        with socket.create_server(("", port)):
            pass
    except OSError as error:
        raise RuntimeError(f"port {port}: {error.strerror}; choose another for --serve") from error


def _mask_value(instance_id: int) -> int:
    """1 … 255: value and colour of an object's pixels."""
    return (instance_id - 1) % 255 + 1


def _rgb(instance_id: int) -> tuple[int, int, int]:
    blue, green, red = object_colour(_mask_value(instance_id))
    return red, green, blue


def _colours() -> rr.AnnotationContext:
    """Of all mask values; 0, the background, is not drawn."""
    objects = [rr.AnnotationInfo(value, f"id {value}", _rgb(value)) for value in range(1, 256)]
    return rr.AnnotationContext([rr.AnnotationInfo(0, "background", (0, 0, 0, 0)), *objects])
