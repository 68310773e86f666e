# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Users of cv_bridge can read every plain image that the node publishes."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")
pytest.importorskip("cv_bridge", reason="cv_bridge is not on PyPI for ROS 2", exc_type=ImportError)

from cv_bridge import CvBridge

from seg_node.ros.messages.convert import to_image
from seg_node.types import Frame


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("mono16", np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000),
        ("mono8", np.arange(12, dtype=np.uint8).reshape(3, 4)),
        ("bgr8", np.arange(36, dtype=np.uint8).reshape(3, 4, 3)),
    ],
)
def test_cv_bridge_reads_what_we_publish(encoding: str, pixels: np.ndarray) -> None:
    message = to_image(pixels, encoding, Frame(np.zeros((3, 4, 3), np.uint8), "bgr"))
    np.testing.assert_array_equal(CvBridge().imgmsg_to_cv2(message, encoding), pixels)
