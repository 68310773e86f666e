# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Show frames and results in a Rerun viewer or recording. No ROS.

Entities, under the camera's name if it has one, on the timeline `stamp` (the source image's):

    scene                       the optical frame: x right, y down, z forward, metres
    scene/image                 the image with its objects drawn on it and, if known, the camera's pinhole
    scene/objects, scene/cloud  oriented boxes and points
    timing/wait … timing/age    milliseconds of each stage

Rerun's API changes between versions; the functions used here are the same from 0.24 to 0.41.
"""

import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seg_node.drawing.draw import draw_segmentation, encode_jpeg, to_bgr
from seg_node.drawing.palette import object_colour
from seg_node.spatial.pinhole import Pinhole
from seg_node.types import Frame, LabelSet, Segmentation

try:
    import rerun as rr
    import rerun.blueprint as rrb
except ImportError as error:  # missing, or the other package of that name on PyPI
    raise RuntimeError(f"the viewer is not installed ({error}): pip install 'rerun-sdk>=0.24'") from error

TIMELINE = "stamp"
JPEG_QUALITY = 90  # at 85 blocks show around thin outlines
# of the viewer, or of the server for browsers, which then drop the oldest data
MEMORY_LIMIT = "2GB"
VIEWER_PORT = 9876  # Rerun's own default
IMAGE_PLANE_M = 0.15
POINT_RADIUS_M = 0.0015
# visible on light and dark; Rerun's own choice repeats hues among nine curves
STAGE_RGB = {
    "wait": (150, 150, 150),
    "decode": (165, 110, 60),
    "prepare": (215, 170, 0),
    "infer": (66, 135, 245),
    "assemble": (76, 187, 105),
    "track": (235, 105, 165),
    "lift": (64, 208, 208),
    "publish": (155, 110, 245),
    "age": (230, 50, 50),
}


class NoViewer(RuntimeError):
    """No window can be opened on this computer."""


class View:
    """One camera's frames and results. Call `open_window`, `serve` or `save` before the log methods."""

    def __init__(self, camera: str = "") -> None:
        """Create a recording. camera: first part of all entity paths; empty for a single camera."""
        self._root = f"{camera}/" if camera else ""
        # The viewer has one layout per application id.
        self._recording = rr.RecordingStream(f"seg_node {camera}".strip())
        self._shows_scene = False

    # --- sinks ------------------------------------------------------------------------------------

    def open_window(self) -> None:
        """Show in a viewer's window, a running one or a new one.

        Raises NoViewer without a display, or if the viewer does not start.
        """
        displays = ("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET")
        if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in displays):
            raise NoViewer("there is no display ($DISPLAY and $WAYLAND_DISPLAY are empty)")
        try:
            self._recording.spawn(memory_limit=MEMORY_LIMIT)
            socket.create_connection(("127.0.0.1", VIEWER_PORT), 1.0).close()  # fails if it has exited
        except (OSError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise NoViewer(f"Rerun's viewer did not start: {reason}") from error
        self._begin()

    def serve(self, web_port: int, grpc_port: int) -> str:
        """Serve to browsers and return the local address. Raises RuntimeError if a port is in use."""
        for port in (web_port, grpc_port):
            _check_free(port)
        source = self._recording.serve_grpc(grpc_port=grpc_port, server_memory_limit=MEMORY_LIMIT)
        rr.serve_web_viewer(web_port=web_port, open_browser=False, connect_to=source)
        self._begin()
        return f"http://localhost:{web_port}/?url=rerun%2Bhttp://localhost:{grpc_port}/proxy"

    def save(self, file: Path) -> None:
        """Save to a recording (.rrd) for `rerun FILE`. Raises FileNotFoundError if its folder is missing."""
        check_folder(file)
        self._recording.save(file)
        self._begin()

    def close(self) -> None:
        """Write or send all logged data, then disconnect."""
        self._recording.disconnect()

    # --- data -------------------------------------------------------------------------------------

    def log_result(self, frame: Frame, segmentation: Segmentation, labels: LabelSet) -> None:
        """Log the image with masks, boxes and captions drawn on it, as JPEG.

        All of it is one entity, so that no viewer can show masks over another image: as entities of their own
        they overtake the JPEG, which browsers decode later.

        Raises ValueError for an image that is too large for a JPEG.
        """
        picture = draw_segmentation(to_bgr(frame), segmentation, labels, ids=True)
        jpeg = encode_jpeg(picture, JPEG_QUALITY)
        image = rr.EncodedImage(contents=jpeg.tobytes(), media_type="image/jpeg")
        self._log("scene/image", image, frame.stamp_ns)

    def log_pinhole(self, stamp_ns: int, pinhole: Pinhole) -> None:
        """Log the camera's calibration, which places the image in the scene."""
        height, width = pinhole.image_size
        camera = rr.Pinhole(
            focal_length=(pinhole.fx, pinhole.fy),
            # Rerun's pixel (0, 0) starts at 0, CameraInfo's is centred there.
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
        """Log N oriented boxes. centres, sizes: (N, 3) metres; quaternions_xyzw: (N, 4)."""
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
        """Log points (N, 3) in metres. rgb: (N, 3), None if the cloud has no colours."""
        self._show_scene()
        self._log("scene/cloud", rr.Points3D(points, colors=rgb, radii=POINT_RADIUS_M), stamp_ns)

    def log_timing(self, stamp_ns: int, milliseconds: Mapping[str, float]) -> None:
        """Log the time of each stage in milliseconds, such as {"infer": 104.0}."""
        for stage, value in milliseconds.items():
            self._log(f"timing/{stage}", rr.Scalars(value), stamp_ns)

    # --- layout -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        # static, because viewers drop old frames to save memory, but never static data
        for stage, rgb in STAGE_RGB.items():
            self._recording.log(f"{self._root}timing/{stage}", rr.SeriesLines(colors=rgb), static=True)
        self._lay_out()

    def _log(self, path: str, entity: object, stamp_ns: int) -> None:
        """Log at the stamp, or at the current time if the source has none."""
        stamp = np.datetime64(stamp_ns or time.time_ns(), "ns")
        self._recording.set_time(TIMELINE, timestamp=stamp)
        self._recording.log(self._root + path, entity)

    def _show_scene(self) -> None:
        """Add the 3D view with its first data, since without depth it would stay empty."""
        if not self._shows_scene:
            self._shows_scene = True
            self._recording.log(f"{self._root}scene", rr.ViewCoordinates.RDF, static=True)
            self._lay_out()

    def _lay_out(self) -> None:
        scene, image = f"/{self._root}scene", f"/{self._root}scene/image"
        corner = rrb.Corner2D.LeftTop  # at the bottom it covers the many short stages
        timing = f"/{self._root}timing"
        side = [rrb.TimeSeriesView(name="milliseconds", origin=timing, plot_legend=corner)]
        if self._shows_scene:
            side.insert(0, rrb.Spatial3DView(name="objects", origin=scene))
        picture = rrb.Spatial2DView(name="image", origin=image)
        blueprint = rrb.Blueprint(
            rrb.Horizontal(picture, rrb.Vertical(*side), column_shares=[3, 2]),
            rrb.TimePanel(state="collapsed"),
            collapse_panels=True,
        )
        self._recording.send_blueprint(blueprint)


def check_folder(file: Path) -> None:
    """Raise FileNotFoundError if the file's folder does not exist."""
    if not file.absolute().parent.is_dir():
        raise FileNotFoundError(f"{file}: there is no folder {file.parent} to write it into")


def _check_free(port: int) -> None:
    """Raise RuntimeError if the port is in use; Rerun would only log it and continue."""
    try:
        with socket.create_server(("", port)):
            pass
    except OSError as error:
        raise RuntimeError(f"port {port}: {error.strerror}; choose another for --serve") from error


def _rgb(instance_id: int) -> tuple[int, int, int]:
    blue, green, red = object_colour(instance_id)
    return red, green, blue
