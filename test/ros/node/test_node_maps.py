# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The label images as Nav2's semantic segmentation layer reads them, and their lossless compressed form."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")
pytest.importorskip("vision_msgs", reason="vision_msgs is not in this environment")

from node_harness import NODE, Probe, image_message, picture, running_node, wait_until
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import LabelInfo

from seg_node.masks.label_images import resample


def as_array(message: Image) -> NDArray[Any]:
    dtype = {"mono8": np.uint8, "mono16": np.uint16}[message.encoding]
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


def test_nav2s_layer_gets_maps_of_one_size_and_stamp_and_the_names_of_their_values(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, {**weights, "class_map.size": [106, 60]}):
        heard: dict[str, list[Any]] = {}
        for name in ("class_map", "confidence_map"):  # the layer subscribes to both as sensor data
            heard[name] = []
            probe.node.create_subscription(
                Image, f"{NODE}/{name}", heard[name].append, qos_profile_sensor_data
            )
        # The layer may start later than the node: the names are latched.
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        labels: list[LabelInfo] = []
        probe.node.create_subscription(LabelInfo, f"{NODE}/label_info", labels.append, latched)
        whole = probe.listen(Image, f"{NODE}/instance_map")  # keeps the image's size
        camera = probe.publisher(Image, "/image")
        message = image_message(picture(), 8000)

        def all_came() -> bool:
            camera.publish(message)  # the best-effort subscriptions may be matched later than the first
            return bool(labels and whole) and all(heard.values())

        wait_until(all_came, 30, "maps and labels")
        classes, confidences = heard["class_map"][-1], heard["confidence_map"][-1]
        for found in (classes, confidences):
            assert (found.width, found.height, found.encoding, found.step) == (106, 60, "mono8", 106)
            assert found.header == message.header
        class_map, confidence_map = as_array(classes), as_array(confidences)
        names = {entry.class_id: entry.class_name for entry in labels[0].class_map}
        # The random weights find gaps of COCO's numbering too, which have no names.
        assert len(names.keys() & set(np.unique(class_map).tolist())) > 1 and 255 not in names
        assert (class_map != 255).any()
        assert np.array_equal(confidence_map == 0, class_map == 255)
        assert confidence_map.max() > round(255 * labels[0].threshold)
        instances = as_array(whole[-1])
        assert instances.shape == (120, 160)
        sampled = resample((instances > 0).astype(np.uint8), (60, 106))
        assert np.array_equal(sampled == 1, class_map != 255)

        assert probe.set_parameter("class_map.size", [0, 0])[0].successful
        later = image_message(picture(), 9000)
        camera.publish(later)
        wait_until(lambda: heard["class_map"][-1].header == later.header, 30, "the next map")
        assert as_array(heard["class_map"][-1]).shape == (120, 160)
        answer, _ = probe.set_parameter("class_map.size", [424])
        assert not answer.successful and "class_map.size = [424]: must be width, height" in answer.reason


def test_compressed_maps_are_lossless(weights: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    with running_node(tmp_path, weights):
        names = ("class_map", "instance_map")
        raw = {name: probe.listen(Image, f"{NODE}/{name}") for name in names}
        packed = {name: probe.listen(CompressedImage, f"{NODE}/{name}/compressed") for name in names}
        camera = probe.publisher(Image, "/image")
        message = image_message(picture(), 8000)
        camera.publish(message)
        for name in names:
            wait_until(lambda name=name: bool(raw[name] and packed[name]), 30, name)
            found, plain = packed[name][0], raw[name][0]
            assert found.header == plain.header == message.header
            assert found.format == f"{plain.encoding}; png compressed {plain.encoding}"
            decoded = cv2.imdecode(np.frombuffer(found.data, np.uint8), cv2.IMREAD_UNCHANGED)
            assert decoded.dtype == as_array(plain).dtype
            assert np.array_equal(decoded, as_array(plain))
