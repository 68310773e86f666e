# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The service `~/segment_prompt`: boxes or points on an image or on a camera's newest → masks.

Imported only where prompt_model.weights is set.
"""

from collections.abc import Callable, Mapping

import numpy as np
from rclpy.node import Node
from rclpy.serialization import deserialize_message

from seg_node.images.decode import decode_message
from seg_node.inference.prompt_engine import LABELS, PromptEngine, open_prompt_engine
from seg_node.models.transformers.prompt_mask import SpatialPrompts
from seg_node.msg import InstanceMaskArray
from seg_node.ros.messages.cdr import serialize_instances
from seg_node.ros.node.camera import Camera
from seg_node.ros.node.inputs import AnyImage
from seg_node.ros.node.options import Options
from seg_node.ros.node.segment_service import SegmentService
from seg_node.srv import SegmentPrompt


class PromptService:
    """Answers requests with a model of its own, loaded and run in the worker's thread."""

    def __init__(
        self,
        node: Node,
        cameras: Mapping[str, Camera],
        refusal: Callable[[], str | None],
        wake: Callable[[], None],
        on_fault: Callable[[str, BaseException], None],
    ) -> None:
        """See `SegmentService`."""
        self._cameras = cameras
        self._engine: PromptEngine | None = None
        self.requests = SegmentService(node, refusal, wake, on_fault, "~/segment_prompt", SegmentPrompt)

    def load(self, options: Options) -> None:
        """Load the model. Raises LoadError, and what `choose_device` raises."""
        self._engine = open_prompt_engine(options.prompt_model_weights, options.device)

    def release(self) -> None:
        self.requests.refuse_waiting("the model is being released")
        self._engine = None

    def answer(self, request: SegmentPrompt.Request, options: Options) -> SegmentPrompt.Response:
        """Segment what the request points at. Raises Refused and ValueError for what is foreseen."""
        engine = self._engine
        if engine is None:
            raise ValueError("not configured: no model is loaded")
        frame = decode_message(self._image_of(request), options.max_pixels)
        found = engine.segment(frame, read_prompts(request))
        instances = serialize_instances(frame, found, LABELS, options.mask_encoding)
        return SegmentPrompt.Response(
            success=True, instances=deserialize_message(instances, InstanceMaskArray)
        )

    def _image_of(self, request: SegmentPrompt.Request) -> AnyImage:
        """Return the request's image, or else the newest of its camera."""
        if len(request.image.data):
            return request.image
        camera = self._cameras.get(request.camera)
        if camera is None:
            known = ", ".join(map(repr, self._cameras))
            raise ValueError(f"camera {request.camera!r} is not one of this node's: {known}")
        if camera.newest is None:
            which = f"camera {request.camera!r}" if request.camera else "the camera"
            raise ValueError(f"no image of {which} has come: send one in the request, or check its topic")
        return camera.newest


def read_prompts(request: SegmentPrompt.Request) -> SpatialPrompts:
    """Convert the request's boxes and points. Raises ValueError for odd lengths and labels."""
    boxes, points = (np.array(values, np.float32) for values in (request.boxes, request.points))
    if len(boxes) % 4 or len(points) % 2:
        raise ValueError(
            f"boxes has {len(boxes)} numbers, points {len(points)}: each box has 4, each point has 2"
        )
    labels = np.array(request.point_labels, np.uint8)
    if (labels > 1).any():
        raise ValueError(f"point_labels has {labels.max()}: a label is 1, on the object, or 0, beside it")
    on_object = labels == 1 if len(labels) else np.ones(len(points) // 2, np.bool_)
    return SpatialPrompts(boxes.reshape(-1, 4), points.reshape(-1, 2), on_object)
