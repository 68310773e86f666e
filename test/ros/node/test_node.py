# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The real node in a process of its own, spoken to over DDS."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from diagnostic_msgs.msg import DiagnosticArray
from node_harness import (
    FRAME_ID,
    NODE,
    NodeProcess,
    Probe,
    count,
    image_message,
    picture,
    running_node,
    send_and_wait,
    stamp_ms,
    wait_until,
)
from rcl_interfaces.srv import DescribeParameters
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from seg_node.inference.engine import Engine, choose_device
from seg_node.masks.encoding import decode_mask
from seg_node.models.load import load_model
from seg_node.msg import FrameTiming, InstanceMaskArray, PanopticSegmentation
from seg_node.types import Frame, Segmentation


@pytest.fixture(scope="module")
def node(weights: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One node for the tests that leave it as they found it."""
    with running_node(tmp_path_factory.mktemp("node"), weights) as process:
        yield process


def expected(weights: dict[str, Any], pixels: NDArray[np.uint8]) -> Segmentation:
    """What the same model gives without ROS."""
    model = load_model("auto", weights["model.weights"], weights["model.config"])
    engine = Engine(model, choose_device("cpu"))
    options = replace(engine.default_options, score_threshold=0.05, min_area=1)
    return engine.segment(Frame(pixels, "bgr"), options)


# --- results ---


@pytest.mark.parametrize("encoding", ["mono8", "bits", "rle"])
def test_the_messages_match_the_models_results(
    node: NodeProcess, probe: Probe, weights: dict[str, Any], encoding: str, one_thread: None
) -> None:
    heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
    camera = probe.publisher(Image, "/image")
    result, _ = probe.set_parameter("mask_encoding", encoding)
    assert result.successful, result.reason
    pixels = picture()
    output = send_and_wait(probe, image_message(pixels, 5000), heard, camera)
    wanted = expected(weights, pixels).instances
    assert len(wanted) > 3
    assert (output.header.frame_id, output.height, output.width) == (FRAME_ID, 120, 160)
    assert [found.class_id for found in output.instances] == wanted.class_ids.tolist()
    np.testing.assert_allclose([found.score for found in output.instances], wanted.scores, atol=1e-4)
    for found, mask in zip(output.instances, wanted.masks, strict=True):
        full = np.zeros((120, 160), bool)
        full[mask.y_offset :, mask.x_offset :][: mask.pixels.shape[0], : mask.pixels.shape[1]] = mask.pixels
        assert found.encoding == encoding
        assert found.area == full.sum()
        assert np.mean(decode_mask(found, 120, 160) != full) < 1e-3


def test_label_images_and_panoptic_map_agree_with_the_instances(node: NodeProcess, probe: Probe) -> None:
    topics = {
        InstanceMaskArray: "instances",
        PanopticSegmentation: "panoptic",
        FrameTiming: "timing",
    }
    heard = {name: probe.listen(kind, f"{NODE}/{name}") for kind, name in topics.items()}
    heard["instance_map"] = probe.listen(Image, f"{NODE}/instance_map")
    heard["class_map"] = probe.listen(Image, f"{NODE}/class_map")
    camera = probe.publisher(Image, "/image")
    message = image_message(picture(), 6000)
    camera.publish(message)
    for name, outputs in heard.items():
        wait_until(lambda outputs=outputs: len(outputs) > 0, 30, name)
        assert outputs[-1].header == message.header, name
    instances = heard["instances"][-1].instances
    instance_map = as_array(heard["instance_map"][-1], np.uint16)
    class_map = as_array(heard["class_map"][-1], np.uint8)
    best = decode_mask(instances[0], 120, 160)
    assert (instance_map[best] == 1).all()
    assert (class_map[best] == instances[0].class_id).all()
    assert (class_map[instance_map == 0] == 255).all()
    panoptic = heard["panoptic"][-1]
    segment_map = as_array(panoptic.segment_map, np.uint16)
    assert sorted({0, *(segment.id for segment in panoptic.segments)}) == np.unique(segment_map).tolist()
    ids = {found.id: found for found in instances}
    for segment in panoptic.segments:
        assert segment.is_thing
        assert segment.area == (segment_map == segment.id).sum()
        assert segment.class_id == ids[segment.instance_id].class_id
    timing = heard["timing"][-1]
    assert timing.infer_ms > 0 and timing.prepare_ms > 0 and timing.publish_ms > 0


def as_array(message: Image, dtype: Any) -> NDArray[Any]:
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


def test_debug_image_shows_the_masks_raw_and_compressed(node: NodeProcess, probe: Probe) -> None:
    raw = probe.listen(Image, f"{NODE}/debug_image")
    compressed = probe.listen(CompressedImage, f"{NODE}/debug_image/compressed")
    instances = probe.listen(InstanceMaskArray, f"{NODE}/instances")
    camera = probe.publisher(Image, "/image")
    pixels = picture()
    message = image_message(pixels, 7000)
    camera.publish(message)
    wait_until(lambda: bool(raw and compressed and instances), 30, "debug images")
    assert raw[0].header == message.header and compressed[0].header == message.header
    drawn = np.frombuffer(raw[0].data, np.uint8).reshape(120, 160, 3)
    mask = decode_mask(instances[0].instances[0], 120, 160)
    assert (drawn[mask] != pixels[mask]).any(axis=1).mean() > 0.9
    jpeg = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    assert bytes(compressed[0].data) == jpeg.tobytes()


def test_an_empty_scene_yields_an_empty_message(node: NodeProcess, probe: Probe) -> None:
    heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
    panoptic = probe.listen(PanopticSegmentation, f"{NODE}/panoptic")
    camera = probe.publisher(Image, "/image")
    assert probe.set_parameter("score_threshold", 1.0)[0].successful
    try:
        output = send_and_wait(probe, image_message(picture(), 8000), heard, camera)
        wait_until(lambda: bool(panoptic), 30, "an empty panoptic map")
    finally:
        assert probe.set_parameter("score_threshold", 0.05)[0].successful
    assert output.instances == [] and output.header.frame_id == FRAME_ID
    assert panoptic[-1].segments == []
    assert not as_array(panoptic[-1].segment_map, np.uint16).any()


# --- parameters ---


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("score_threshold", 1.5, "score_threshold"),
        ("max_instances", -2, "max_instances"),
        ("mask_encoding", "png", "must be one of mono8, bits, rle"),
        ("classes", ["persn"], "unknown class persn; this model knows: person"),
        ("model.weights", "other.pth", "read-only"),
        ("max_rate", "fast", "max_rate"),
    ],
)
def test_a_wrong_parameter_is_refused_with_a_reason(
    node: NodeProcess, probe: Probe, name: str, value: Any, reason: str
) -> None:
    result, _ = probe.set_parameter(name, value)
    assert not result.successful
    assert reason in result.reason


def test_a_parameter_applies_to_the_next_frame(node: NodeProcess, probe: Probe) -> None:
    heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
    camera = probe.publisher(Image, "/image")
    before = send_and_wait(probe, image_message(picture(), 9000), heard, camera)
    assert probe.set_parameter("max_instances", 2)[0].successful
    after = send_and_wait(probe, image_message(picture(), 9100), heard, camera)
    name = before.instances[-1].class_name
    assert probe.set_parameter("classes", [name])[0].successful
    filtered = send_and_wait(probe, image_message(picture(), 9200), heard, camera)
    assert probe.set_parameter("max_instances", 100)[0].successful
    assert probe.set_parameter("classes", [""])[0].successful
    assert len(before.instances) > 2 == len(after.instances)
    assert filtered.instances and {found.class_name for found in filtered.instances} == {name}


def test_the_inputs_qos_can_be_overridden(node: NodeProcess, probe: Probe) -> None:
    found = probe.node.get_subscriptions_info_by_topic
    wait_until(lambda: bool(found("/image")), 10, "the subscription")
    (subscription,) = found("/image")
    assert subscription.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    depth, _ = probe.get_parameter("qos_overrides./image.subscription.depth")
    assert depth.integer_value == 50


def test_every_parameter_is_described(node: NodeProcess, probe: Probe) -> None:
    request = DescribeParameters.Request(names=["score_threshold", "device"])
    answer, _ = probe.call(DescribeParameters, f"{NODE}/describe_parameters", request)
    threshold, device = answer.descriptors
    assert threshold.description and threshold.floating_point_range[0].to_value == 1.0
    assert device.read_only


# --- bad input ---


def bad_messages() -> dict[str, Image]:
    good = picture(48, 64)
    bad = {
        "unknown_encoding": image_message(good, 0, "yuv420"),
        "wrong_step": image_message(good, 0),
        "truncated_data": image_message(good, 0),
        "empty_image": image_message(good, 0),
        "too_large": image_message(good, 0),
    }
    bad["wrong_step"].step = 17
    bad["truncated_data"].data = bad["truncated_data"].data[:-40]
    bad["empty_image"].height = bad["empty_image"].width = 0
    bad["too_large"].height = bad["too_large"].width = 20_000
    bad["too_large"].step = 60_000
    return bad


def test_every_bad_image_is_counted_and_the_next_is_served(node: NodeProcess, probe: Probe) -> None:
    heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
    reports = probe.listen(DiagnosticArray, "/diagnostics")
    camera = probe.publisher(Image, "/image")
    wait_until(lambda: bool(reports), 10, "diagnostics")
    stamp = 20_000
    for reason, message in bad_messages().items():
        before = count(reports, f"dropped.{reason}")
        message.header.stamp = image_message(picture(), stamp).header.stamp
        camera.publish(message)
        wait_until(lambda r=reason, b=before: count(reports, f"dropped.{r}") == b + 1, 10, reason)
        send_and_wait(probe, image_message(picture(), stamp + 1), heard, camera)
        stamp += 10
    assert "supported" in node.log and "yuv420" in node.log


def test_a_stamp_that_goes_back_is_counted_and_a_looped_bag_continues(
    node: NodeProcess, probe: Probe
) -> None:
    heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
    reports = probe.listen(DiagnosticArray, "/diagnostics")
    camera = probe.publisher(Image, "/image")
    wait_until(lambda: bool(reports), 10, "diagnostics")
    before = count(reports, "dropped.stamp_backwards")
    send_and_wait(probe, image_message(picture(), 90_000), heard, camera)
    camera.publish(image_message(picture(), 30_000))
    send_and_wait(probe, image_message(picture(), 30_100), heard, camera)
    assert not any(stamp_ms(output.header) == 30_000 for output in heard)
    wait_until(lambda: count(reports, "dropped.stamp_backwards") == before + 1, 10, "the count")


def test_a_zero_stamp_is_served_with_a_warning(node: NodeProcess, probe: Probe) -> None:
    heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
    reports = probe.listen(DiagnosticArray, "/diagnostics")
    camera = probe.publisher(Image, "/image")
    output = send_and_wait(probe, image_message(picture(), 0), heard, camera)
    assert output.header.frame_id == FRAME_ID
    wait_until(lambda: count(reports, "warned.zero_stamp") >= 1, 10, "the count")
