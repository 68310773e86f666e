# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Every model family through the real node: its objects and its panoptic map leave as messages."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

import thin_detectron2
import thin_solo
import thin_yolact
from conftest import IMAGE_TOPICS, RELIABLE
from node_harness import NODE, Probe, image_message, picture, running_node, wait_until
from sensor_msgs.msg import Image

from seg_node.inference.engine import Engine, choose_device
from seg_node.masks.encoding import decode_mask
from seg_node.models.load import load_model
from seg_node.msg import InstanceMaskArray, PanopticSegmentation
from seg_node.types import Frame

Writer = Callable[[Path], tuple[Path, Path | None]]
THRESHOLD = 0.05


def write_thin_transformers(folder: Path) -> tuple[Path, Path | None]:
    pytest.importorskip("transformers")
    from thin_transformers import write_thin_checkpoint

    return write_thin_checkpoint(folder)


def write_thin_yolo(folder: Path) -> tuple[Path, Path | None]:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not in this environment")
    from yolo_file import write_thin_checkpoint

    return write_thin_checkpoint(folder)


@pytest.mark.parametrize(
    ("family", "write"),
    [
        ("detectron2", thin_detectron2.write_thin_checkpoint),
        ("detectron2", thin_detectron2.write_thin_panoptic_checkpoint),
        ("yolact", thin_yolact.write_thin_checkpoint),
        ("solo", thin_solo.write_thin_checkpoint),
        ("yolo", write_thin_yolo),
        ("transformers", write_thin_transformers),
    ],
)
def test_the_messages_match_the_results_of_each_family(
    family: str, write: Writer, probe: Probe, tmp_path: Path, one_thread: None
) -> None:
    weights, config = write(tmp_path)
    pixels = picture(240, 320)
    engine = Engine(load_model("auto", weights, config), choose_device("cpu"))
    options = replace(engine.default_options, score_threshold=THRESHOLD, min_area=1)
    expected = engine.segment(Frame(pixels, "bgr"), options)
    assert len(expected.instances) > 2
    assert expected.panoptic is not None
    parameters = {
        "model.weights": str(weights),
        "model.config": str(config or ""),
        "score_threshold": THRESHOLD,
        "device": "cpu",
        "precision": "exact",  # the answer of the engine in the test
        "qos_overrides": {topic: {"subscription": dict(RELIABLE)} for topic in IMAGE_TOPICS},
    }
    with running_node(tmp_path, parameters) as node:
        assert f"recognised as a checkpoint of the {family} family" in node.log
        instances = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        panoptic = probe.listen(PanopticSegmentation, f"{NODE}/panoptic")
        probe.publisher(Image, "/image").publish(image_message(pixels, 5000))
        wait_until(lambda: len(instances) > 0 and len(panoptic) > 0, 60, "both outputs")

    found = instances[0].instances
    assert [instance.class_id for instance in found] == expected.instances.class_ids.tolist()
    assert [instance.class_name for instance in found] == [
        engine.labels.name(class_id) for class_id in expected.instances.class_ids.tolist()
    ]
    np.testing.assert_allclose([one.score for one in found], expected.instances.scores, atol=1e-3)
    areas = [decode_mask(instance, 240, 320).sum() for instance in found]
    np.testing.assert_allclose(areas, [mask.area for mask in expected.instances.masks], rtol=0.02, atol=5)

    segments = panoptic[0].segments
    assert [(s.id, s.class_id, s.is_thing) for s in segments] == [
        (s.id, s.class_id, s.is_thing) for s in expected.panoptic.segments
    ]
    image = panoptic[0].segment_map
    segment_map = np.frombuffer(image.data, np.uint16).reshape(image.height, image.width)
    assert (segment_map == expected.panoptic.segment_map).mean() > 0.999
