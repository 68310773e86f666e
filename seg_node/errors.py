# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The errors that refuse one frame.

Refused
├── ImageError         images.buffer             an image that cannot be decoded
├── RegionError        masks.region              a region of interest outside the image
├── DepthSizeError     spatial.lift              depth of another size than the image
├── OutOfMemory        inference.engine          a frame too large for the device
├── DeviceLost         inference.device_errors   a GPU that this process cannot use any more
├── BadResult          inference.check_result    numbers from the model that no image can have
├── Unreadable         ros.messages              bytes that are not a message
├── CameraInfoError    ros.messages              a calibration that does not fit the image
└── NotLocated         ros.node.locate           no objects in metres for this image

Each is a ValueError or a RuntimeError as well, for callers that handle one frame.
"""


class Refused(Exception):
    """A frame gives no result, or no objects, for a known reason.

    reason: the token under which /diagnostics counts it. The text names the thing, its value and the cure.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
