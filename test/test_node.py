"""The real node in a process of its own, spoken to over DDS."""

import array
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

import node_harness
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_harness import NODE, NodeProcess, Probe, count, diagnostics, running_node, wait_until
from rcl_interfaces.srv import DescribeParameters
from seg_node.msg import FrameTiming, InstanceMaskArray, PanopticSegmentation
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from seg_node.engine import Engine, choose_device
from seg_node.masks import decode_mask
from seg_node.models.load import load_model
from seg_node.types import Frame, Segmentation

FRAME_ID = "front/camera_optical_frame"


def picture(height: int = 120, width: int = 160, seed: int = 3) -> NDArray[np.uint8]:
    """Coloured blobs, not square, no symmetry."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 90, np.uint8)
    for _ in range(12):
        centre = int(rng.integers(width)), int(rng.integers(height))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.circle(image, centre, int(rng.integers(6, 30)), colour, -1)
    return image


def image_message(pixels: NDArray[np.uint8], stamp_ms: int, encoding: str = "bgr8") -> Image:
    return Image(
        header=Header(
            stamp=Time(sec=stamp_ms // 1000, nanosec=stamp_ms % 1000 * 1_000_000), frame_id=FRAME_ID
        ),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=pixels.strides[0],
        data=array.array("B", pixels.tobytes()),
    )


def stamp_ms(header: Header) -> int:
    return int(header.stamp.sec * 1000 + header.stamp.nanosec // 1_000_000)


@pytest.fixture(scope="module")
def weights(thin_checkpoint: tuple[Path, Path]) -> dict[str, Any]:
    """Parameters of a node with a fast, lively model that always answers."""
    file, config = thin_checkpoint
    return {"model.weights": file, "model.config": config, "score_threshold": 0.05, "device": "cpu"}


@pytest.fixture(scope="module")
def node(weights: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One node for the tests that leave it as they found it."""
    with running_node(tmp_path_factory.mktemp("node"), weights) as process:
        yield process


def expected(weights: dict[str, Any], pixels: NDArray[np.uint8]) -> Segmentation:
    """What the same model gives without ROS."""
    from dataclasses import replace

    model = load_model("auto", weights["model.weights"], weights["model.config"])
    engine = Engine(model, choose_device("cpu"))
    options = replace(engine.default_options, score_threshold=0.05, min_area=1)
    return engine.segment(Frame(pixels, "bgr"), options)


def send_and_wait(probe: Probe, message: Any, heard: list[Any], publisher: Any) -> Any:
    """The output that carries the message's stamp."""
    publisher.publish(message)
    wait_until(lambda: any(out.header.stamp == message.header.stamp for out in heard), 30, "an output")
    return next(out for out in heard if out.header.stamp == message.header.stamp)


# --- results ---


@pytest.mark.parametrize("encoding", ["mono8", "bits", "rle"])
def test_the_messages_hold_what_the_model_found(
    node: NodeProcess, probe: Probe, weights: dict[str, Any], encoding: str
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
    jpeg = cv2.imdecode(np.frombuffer(compressed[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(jpeg.astype(int) - drawn).mean() < 20


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
        ("max_instances", 0, "max_instances"),
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


def test_a_parameter_acts_on_the_next_frame(node: NodeProcess, probe: Probe) -> None:
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


def test_a_stamp_that_goes_back_is_counted_and_a_looped_bag_goes_on(node: NodeProcess, probe: Probe) -> None:
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


def test_a_zero_stamp_is_served_and_warned_of(node: NodeProcess, probe: Probe) -> None:
    heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
    reports = probe.listen(DiagnosticArray, "/diagnostics")
    camera = probe.publisher(Image, "/image")
    output = send_and_wait(probe, image_message(picture(), 0), heard, camera)
    assert output.header.frame_id == FRAME_ID
    wait_until(lambda: count(reports, "warned.zero_stamp") >= 1, 10, "the count")


def test_compressed_input_is_served_and_a_corrupt_jpeg_survived(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, {**weights, "image_transport": "compressed"}, {"image": "/front/image_raw"}):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(CompressedImage, "/front/image_raw/compressed")
        jpeg = cv2.imencode(".jpg", picture(), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()

        def message(data: bytes, stamp: int) -> CompressedImage:
            header = image_message(picture(), stamp).header
            return CompressedImage(header=header, format="jpeg", data=array.array("B", data))

        first = send_and_wait(probe, message(jpeg, 1000), heard, camera)
        camera.publish(message(jpeg[:50] + bytes(200), 2000))
        last = send_and_wait(probe, message(jpeg, 3000), heard, camera)
        assert first.instances and len(first.instances) == len(last.instances)
        wait_until(lambda: count(reports, "dropped.corrupt_image") == 1, 10, "the count")


# --- life ---


def change_state(probe: Probe, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(probe.call(ChangeState, f"{NODE}/change_state", request)[0].success)


def state(probe: Probe) -> int:
    return int(probe.call(GetState, f"{NODE}/get_state", GetState.Request())[0].current_state.id)


def test_the_lifecycle_can_be_driven_by_hand_twice_round(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, {**weights, "autostart": False}, until="waiting to be configured"):
        for stamp in (1000, 2000):
            assert state(probe) == State.PRIMARY_STATE_UNCONFIGURED
            assert change_state(probe, Transition.TRANSITION_CONFIGURE)
            assert state(probe) == State.PRIMARY_STATE_INACTIVE
            assert change_state(probe, Transition.TRANSITION_ACTIVATE)
            heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
            camera = probe.publisher(Image, "/image")
            send_and_wait(probe, image_message(picture(), stamp), heard, camera)
            assert change_state(probe, Transition.TRANSITION_DEACTIVATE)
            wait_until(
                lambda camera=camera: camera.get_subscription_count() == 0, 10, "the end of the subscription"
            )
            assert change_state(probe, Transition.TRANSITION_CLEANUP)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"model.weights": "/nowhere/model.pth"}, ["/nowhere/model.pth"]),
        ({"classes": "['unicorn']"}, ["unknown class unicorn"]),
        ({"device": "tpu"}, ["tpu"]),
        ({"device": "cuda:99"}, ["cuda:99"]),
        ({"image_transport": "zip"}, ["image_transport", "raw, compressed"]),
        ({"score_threshold": "high"}, ["score_threshold"]),
    ],
)
def test_a_start_that_cannot_work_ends_with_one_clear_line(
    weights: dict[str, Any], tmp_path: Path, parameters: dict[str, Any], words: list[str]
) -> None:
    process = NodeProcess(tmp_path, {**weights, **parameters}, {})
    assert process.process.wait(node_harness.START_TIMEOUT_S) == 1
    assert all(word in process.log for word in words), process.log
    assert "Traceback" not in process.log


def test_a_misspelt_parameter_is_named_with_its_likeness(weights: dict[str, Any], tmp_path: Path) -> None:
    with running_node(tmp_path, {**weights, "score_treshold": 0.3}) as process:
        assert "did you mean score_threshold?" in process.log


def test_without_a_subscriber_the_model_rests_and_the_frames_are_counted(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        for i in range(3):
            camera.publish(image_message(picture(), 1000 + i))
            time.sleep(0.2)
        wait_until(lambda: count(reports, "dropped.no_subscriber") == 3, 10, "the counts")
        assert count(reports, "processed") == 0
        assert probe.set_parameter("always_on", True)[0].successful
        camera.publish(image_message(picture(), 2000))
        wait_until(lambda: count(reports, "processed") == 1, 20, "a processed frame")


# --- a camera faster than the model ---


def test_a_fast_camera_and_a_slow_model_stay_fresh_and_answer(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    """720p at 60 Hz from another process; the input is enlarged so that the model takes far longer."""
    config = tmp_path / "slow.yaml"
    config.write_text("min_size: 1100\nmax_size: 1900\n")
    np.save(tmp_path / "picture.npy", picture(720, 1280))
    with running_node(tmp_path, {**weights, "model.config": config}, {"image": "/fast/image"}):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        timings = probe.listen(FrameTiming, f"{NODE}/timing")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        script = Path(__file__).with_name("camera_process.py")
        command = [sys.executable, script, "/fast/image", tmp_path / "picture.npy", "60", "600", FRAME_ID]
        camera = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        wait_until(lambda: len(heard) >= 1, 30, "the first output")
        answer_s = [probe.get_parameter("score_threshold")[1] for _ in range(10)]
        change_s = [probe.set_parameter("min_area", area)[1] for area in range(1, 6)]
        lines, _ = camera.communicate(timeout=60)
        wait_until(lambda: count(reports, "received") == done(reports), 20, "the sums")
    sent = {(int(sec), int(nanosec)) for _, sec, nanosec in (line.split() for line in lines.splitlines())}
    stamps = [(output.header.stamp.sec, output.header.stamp.nanosec) for output in heard]
    assert set(stamps) <= sent and stamps == sorted(set(stamps))
    assert {output.header.frame_id for output in heard} == {FRAME_ID}
    assert sorted(answer_s)[5] < 0.1 and sorted(change_s)[2] < 0.1
    assert 4 <= len(timings) < 300, "the model was not slower than the camera"
    # A queue would make every result older than the one before; newest-wins keeps age near two frames' work.
    work_ms = [t.prepare_ms + t.infer_ms + t.assemble_ms for t in timings]
    ages = [timing.age_ms for timing in timings]
    half = len(ages) // 2
    assert np.median(ages[half:]) < 3 * np.median(work_ms) + 200
    assert count(reports, "dropped.replaced_by_newer") > len(timings)
    assert diagnostics(reports)["device"] == "cpu"


def done(reports: list[DiagnosticArray]) -> int:
    values = diagnostics(reports)
    return int(values.get("processed", -1)) + int(values.get("dropped", 0))
