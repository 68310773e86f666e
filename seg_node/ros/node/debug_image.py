# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The annotated picture, drawn in a thread of its own and only for subscribers."""

import threading
from collections.abc import Callable

from rclpy.publisher import Publisher

from seg_node.drawing.draw import draw_segmentation, to_bgr
from seg_node.ros.common.topics import has_subscriber
from seg_node.ros.messages import convert
from seg_node.ros.node.options import Options
from seg_node.ros.node.slot import NewestSlot
from seg_node.types import Frame, LabelSet, Segmentation

WAIT_S = 0.2
CLOSE_S = 1.0


class DebugImage:
    """Draws the newest result; results that come while it draws replace one another."""

    def __init__(
        self,
        raw: Publisher,
        compressed: Publisher,
        labels: LabelSet,
        on_fault: Callable[[str, BaseException], None],
    ) -> None:
        """raw, compressed: of Image and CompressedImage.

        `on_fault(text, error)` is called when a picture could not be drawn or sent.
        """
        self._raw, self._compressed = raw, compressed
        self._labels, self._on_fault = labels, on_fault
        self._slot: NewestSlot[tuple[Frame, Segmentation, Options]] = NewestSlot()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="debug_image", daemon=True)
        self._thread.start()

    def publishers(self) -> tuple[Publisher, ...]:
        return self._raw, self._compressed

    def wanted(self) -> bool:
        return has_subscriber(self._raw) or has_subscriber(self._compressed)

    def offer(self, frame: Frame, segmentation: Segmentation, options: Options) -> None:
        self._slot.put((frame, segmentation, options))

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop the thread; one that is stuck in a picture is left alone and ends when it returns."""
        self._closing.set()
        self._thread.join(CLOSE_S)

    def _work(self) -> None:
        while not self._closing.is_set():
            offered = self._slot.take(WAIT_S)
            if offered is None:
                continue
            try:
                self._draw(*offered)
            except BaseException as error:  # SystemExit of a library too
                if not self._closing.is_set():
                    self._on_fault("debug image", error)

    def _draw(self, frame: Frame, segmentation: Segmentation, options: Options) -> None:
        picture = draw_segmentation(
            to_bgr(frame),
            segmentation,
            self._labels,
            opacity=options.debug_opacity,
            boxes=options.debug_boxes,
            captions=options.debug_captions,
            ids=options.track_enabled,
            stuff=options.debug_stuff,
        )
        if has_subscriber(self._raw):
            self._raw.publish(convert.to_image(picture, "bgr8", frame))
        if has_subscriber(self._compressed):
            self._compressed.publish(convert.to_jpeg(picture, options.debug_jpeg_quality, frame))
