# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The path of frames and of requests while a model is loaded, in the worker's thread."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seg_node.errors import Refused
from seg_node.inference.check_result import check_segmentation
from seg_node.inference.device_errors import DeviceLost
from seg_node.inference.engine import Engine
from seg_node.prompts import result_labels
from seg_node.ros.node.camera import Camera, DecodedFrame
from seg_node.ros.node.faults import CallbackFaults
from seg_node.ros.node.inputs import Arrival
from seg_node.ros.node.options import Options
from seg_node.ros.node.publisher import Publisher
from seg_node.ros.node.segment import answer_request, segment_frames
from seg_node.ros.node.segment_service import SegmentRequest, SegmentService
from seg_node.ros.node.slot import NewestSlots
from seg_node.ros.node.warm_up import WarmUp
from seg_node.srv import Segment
from seg_node.types import Segmentation

if TYPE_CHECKING:
    from seg_node.ros.node.prompt_service import PromptService

Answer = Callable[[Any, Options], Any]  # a service's request → its response

WAIT_S = 0.1


class FramePath:
    """Serves the newest frames of all cameras in turn, then at most one request.

    Called by one thread, in this order: `wait`, `announce_labels`, `serve_frames`, `serve_request`,
    `publish_late`.
    """

    def __init__(
        self,
        engine: Engine,
        publisher: Publisher | None,
        cameras: Mapping[str, Camera],
        slots: NewestSlots[Arrival],
        requests: SegmentService,
        warm_up: WarmUp,
        faults: CallbackFaults,
        prompted: "PromptService | None" = None,
    ) -> None:
        """publisher: publishes results beside the model's work; None: the calling thread does.

        prompted: answers `~/segment_prompt`, where the node has it.
        """
        self.engine, self.publisher = engine, publisher
        self._cameras, self._slots = cameras, slots
        self._services: deque[tuple[SegmentService, Answer]] = deque([(requests, self._segment)])
        if prompted is not None:
            self._services.append((prompted.requests, prompted.answer))
        self._warm_up, self._faults = warm_up, faults
        self._stream_owed_s = 0.0
        self._announced: tuple[str, ...] | None = None

    def wait(self, options: Options) -> None:
        """Wait briefly for a frame or a request."""
        polls = [camera.next_poll_s for camera in self._cameras.values()]
        if not self._slots.wait(min([WAIT_S, *filter(None, polls)]), _interval_s(options)):
            self._stream_owed_s = 0.0

    def announce_labels(self, options: Options) -> None:
        """Publish changed prompts as the names of the classes, after the results of the ones before."""
        if options.prompts == self._announced:
            return
        wanted = options.segment_options(self.engine.labels, self.engine.default_options)
        labels = result_labels(wanted, self.engine.labels)

        def announce() -> None:
            for camera in self._cameras.values():
                camera.announce_labels(labels)

        if self.publisher is None:
            announce()
        elif not self.publisher.offer(announce):  # a frame is being published: once more next time
            return
        self._announced = options.prompts

    def serve_frames(self, options: Options, enabled: bool) -> None:
        """Process the frames that wait."""
        if self.publisher is not None:
            self.publisher.wait_to_begin()
        arrivals = self._slots.take(self._batch_limit(options), _interval_s(options))
        if not arrivals:
            self._stream_owed_s = 0.0
        began = time.perf_counter()
        decoded = self._decode(arrivals, options, enabled)
        self._warm_up.served(frame.camera.name for frame in decoded)
        if self.engine.on_gpu and not decoded:
            self._warm_up.run_ahead(self.engine, arrivals, options)
        for batch in _by_size(decoded):
            self._process(batch, options)
        self._stream_owed_s = max(self._stream_owed_s - (time.perf_counter() - began), 0.0)

    def serve_request(self, options: Options) -> None:
        """Answer the request that has waited longest, of each service in turn.

        However many clients there are, the stream gets as much time as they do.
        """
        if self._stream_owed_s > 0.0:
            return
        for _ in range(len(self._services)):
            service, answer = self._services[0]
            self._services.rotate(-1)
            arrived = service.take()
            if arrived is not None:
                began = time.perf_counter()
                service.finish(arrived, self._answer(service.name, arrived, answer, options))
                self._stream_owed_s = time.perf_counter() - began
                return

    def publish_late(self) -> None:
        """Publish objects whose transform has come after their masks."""
        if self.publisher is None:
            self._publish_late()
        elif any(camera.next_poll_s for camera in self._cameras.values()):
            self.publisher.offer(self._publish_late)  # while busy, it does so after the frame in hand

    def _publish_late(self) -> None:
        for camera in self._cameras.values():
            camera.publish_late()

    def _batch_limit(self, options: Options) -> int:
        """On the CPU one: there a batch takes as long as its frames one by one, and all would wait for it."""
        return options.max_batch or (len(self._cameras) if self.engine.on_gpu else 1)

    def _decode(self, arrivals: Mapping[str, Arrival], options: Options, enabled: bool) -> list[DecodedFrame]:
        decoded = (
            self._cameras[name].decode(arrival, options, enabled) for name, arrival in arrivals.items()
        )
        return [frame for frame in decoded if frame is not None]

    def _process(self, batch: Sequence[DecodedFrame], options: Options) -> None:
        """Frames of one size from pixels to messages; whatever is wrong with them ends here."""
        try:
            panoptic = any(decoded.outputs.panoptic_wanted(options) for decoded in batch)
            frames = [decoded.frame for decoded in batch]
            segmentations = segment_frames(self.engine, frames, options, panoptic)
        except Refused as error:
            self._drop(batch, error)
        except BaseException as error:  # costs these frames, not the worker
            if len(batch) == 1:
                self._drop(batch, error)
                return
            for decoded in batch:  # only the frame that the model fails on is dropped
                self._process([decoded], options)
        else:
            self._hand_on(batch, segmentations, options)

    def _hand_on(
        self, batch: Sequence[DecodedFrame], segmentations: Sequence[Segmentation], options: Options
    ) -> None:
        """Publish the results: here, or beside the model's work on the next frames."""

        def publish() -> None:
            for decoded, segmentation in zip(batch, segmentations, strict=True):
                self._publish(decoded, segmentation, options)

        def publish_beside() -> None:
            publish()
            self._publish_late()

        if self.publisher is None:
            publish()
        elif not self.publisher.hand_on(publish_beside):
            self._drop(batch, Refused("abandoned", "the publishing thread was closed"))

    def _publish(self, decoded: DecodedFrame, segmentation: Segmentation, options: Options) -> None:
        try:
            check_segmentation(segmentation, self.engine.labels)
            decoded.camera.publish(decoded, segmentation, options)
        except BaseException as error:  # costs this frame, not the thread
            self._drop([decoded], error)

    def _drop(self, batch: Sequence[DecodedFrame], error: BaseException) -> None:
        for decoded in batch:
            decoded.camera.drop(decoded.arrival, error)
        if isinstance(error, DeviceLost):
            self._faults.lose_device(error)

    def _segment(self, request: Segment.Request, options: Options) -> Segment.Response:
        return answer_request(self.engine, request, options)

    def _answer(self, service: str, arrived: SegmentRequest, answer: Answer, options: Options) -> Any:
        """Build the response; whatever is wrong with the request becomes its message."""
        try:
            return answer(arrived.request, options)
        except (Refused, ValueError) as error:  # ValueError: an image size that the engine is not for
            if isinstance(error, DeviceLost):
                self._faults.lose_device(error)
            return arrived.response_type(message=str(error))
        except BaseException as error:  # costs one answer, not the worker
            self._faults.caught(service, error)
            return arrived.response_type(message=f"{type(error).__name__}: {error}")


def _interval_s(options: Options) -> float:
    """Return the shortest time between two frames of one camera."""
    return 1.0 / options.max_rate if options.max_rate > 0 else 0.0


def _by_size(decoded: Sequence[DecodedFrame]) -> list[list[DecodedFrame]]:
    """One batch for each image size: another size would be padded, which changes results."""
    batches: dict[tuple[int, int], list[DecodedFrame]] = {}
    for frame in decoded:
        batches.setdefault(frame.frame.image_size, []).append(frame)
    return list(batches.values())
