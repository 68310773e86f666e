# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""First runs of the model on an image size, before a frame is wanted: on a GPU they take seconds."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from rclpy.impl.rcutils_logger import RcutilsLogger

from seg_node.inference.device_errors import DeviceLost
from seg_node.inference.engine import Engine
from seg_node.masks.region import RegionError, clip_region
from seg_node.ros.node.camera import Camera
from seg_node.ros.node.faults import CallbackFaults
from seg_node.ros.node.inputs import Arrival
from seg_node.ros.node.options import Options

SIZE = (480, 640)  # until a camera's own is known


class WarmUp:
    """Tracks the cameras whose image size the model has run on, on a GPU; a CPU is warm after any run."""

    def __init__(self, cameras: Mapping[str, Camera], faults: CallbackFaults, logger: RcutilsLogger) -> None:
        self._cameras, self._faults, self._logger = cameras, faults, logger
        self._done: set[str] = set()

    def begin(self) -> set[tuple[int, int]]:
        """Start anew for another model; returns the sizes that are known, for `warm_up_model`."""
        known = {name: camera.image_size for name, camera in self._cameras.items()}
        self._done = {name for name, size in known.items() if size is not None}
        return {size for size in known.values() if size is not None}

    def served(self, names: Iterable[str]) -> None:
        """Note cameras whose frames the model runs on now: those need no warm-up."""
        self._done.update(names)

    def run_ahead(self, engine: Engine, unwanted: Mapping[str, Arrival], options: Options) -> None:
        """Run the model on one new image size while nobody waits for a frame.

        unwanted: frames just dropped, which show their size. What the model raises is logged and counted,
        once for each camera.
        """
        try:
            size = self._run_next(engine, unwanted, options)
        except DeviceLost as error:
            self._faults.lose_device(error)
        except BaseException as error:  # costs the first wanted frame some time
            self._faults.caught("warm-up", error)
        else:
            if size is not None:
                self._logger.info(f"warmed up for images of {size[1]}x{size[0]}")

    def _run_next(
        self, engine: Engine, unwanted: Mapping[str, Arrival], options: Options
    ) -> tuple[int, int] | None:
        """Return the height and width that the model ran on, None without any that is new."""
        for name in sorted(self._cameras.keys() - self._done):
            self._done.add(name)  # first: what raises is not tried again
            size = self._cameras[name].find_size(unwanted.get(name), options)
            if size is None:
                self._done.remove(name)
                continue
            outputs = [camera.outputs for camera in self._cameras.values()]
            panoptic = any(output is not None and output.panoptic_wanted(options) for output in outputs)
            if _run(engine, size, options, panoptic):
                return size
        return None


def warm_up_model(
    engine: Engine, exported: tuple[int, int] | None, known: Collection[tuple[int, int]], options: Options
) -> None:
    """Run a loaded model for the first time.

    exported: the only image size that the model takes, if so. known: the cameras' sizes, as far as they are.
    """
    if not engine.on_gpu:
        wanted = options.segment_options(engine.labels, engine.default_options)
        engine.warm_up(exported or SIZE, replace(engine.default_options, prompts=wanted.prompts))
    elif exported is not None:
        engine.warm_up(exported, options.segment_options(engine.labels, engine.default_options))
    else:
        for size in known or [SIZE]:
            _run(engine, size, options, panoptic=False)


def _run(engine: Engine, size: tuple[int, int], options: Options, panoptic: bool) -> bool:
    """Run with the node's options; False when `roi` is outside the image, which its frames report."""
    try:
        region = clip_region(options.region(), size)
    except RegionError:
        return False
    wanted = options.segment_options(engine.labels, engine.default_options)
    engine.warm_up((region.height, region.width), replace(wanted, panoptic=panoptic))
    return True
