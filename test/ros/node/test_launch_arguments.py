# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What the launch file's arguments become, without `launch`: remap rules, parameters, the environment."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from seg_node.ros.node.launch_arguments import (
    ARGUMENTS,
    COMPRESSED,
    INPUTS,
    OUTPUTS,
    SEGMENT_BYTES,
    camera_names,
    image_environment,
    markdown_table,
    parameters,
    remappings,
    switch,
    without_effect,
)
from seg_node.ros.node.parameters import PARAMETERS

ROOT = Path(__file__).resolve().parents[3]
PROFILE = ROOT / "config/fastdds_images.xml"
DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}
TF = [("/tf", "tf"), ("/tf_static", "tf_static")]


def test_the_documents_table_is_the_launch_files() -> None:
    assert markdown_table() in (ROOT / "docs/integration.md").read_text()


def test_an_argument_that_is_not_given_changes_nothing() -> None:
    assert parameters(DEFAULTS) == {}
    assert remappings(DEFAULTS) == TF  # without a namespace tf is /tf
    assert without_effect(DEFAULTS) == []


@pytest.mark.parametrize(
    ("argument", "text", "parameter", "value"),
    [
        ("use_sim_time", "true", "use_sim_time", True),
        ("use_sim_time", "False", "use_sim_time", False),
        ("autostart", "0", "autostart", False),
        ("depth_enabled", "True", "depth.enabled", True),
        ("depth_transport", "compressedDepth", "depth.transport", "compressedDepth"),
        ("image_transport", "compressed", "image_transport", "compressed"),
        ("target_frame", "base_link", "target_frame", "base_link"),
        ("device", "cuda:1", "device", "cuda:1"),
        ("model_weights", "/models/true", "model.weights", "/models/true"),
        ("model_weights", "''", "model.weights", ""),  # takes back what the parameter file has
        ("target_frame", '"map"', "target_frame", "map"),
        ("cameras", "front,rear", "cameras", ["front", "rear"]),
        ("cameras", "front", "cameras", ["front"]),
    ],
)
def test_an_argument_sets_its_parameter(argument: str, text: str, parameter: str, value: Any) -> None:
    assert parameters({**DEFAULTS, argument: text}) == {parameter: value}


def test_every_argument_with_a_parameter_has_one_of_the_nodes() -> None:
    types = {row.name: type(row.default) for row in PARAMETERS}
    named = {argument.parameter: argument for argument in ARGUMENTS if argument.parameter}
    assert named.keys() - {"use_sim_time"} <= types.keys()
    for name, argument in named.items():
        (value,) = parameters({**DEFAULTS, argument.name: "true"}).values()
        assert types.get(name, bool) is (tuple if isinstance(value, list) else type(value)), name


def test_there_is_an_argument_for_every_topic() -> None:
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")
    from seg_node.ros.node.outputs import Outputs
    from seg_node.types import LabelSet

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("names", context=context)
    before = set(node.publishers)
    outputs = Outputs(node, "~/", LabelSet({1: "cup"}), 0.5, lambda text, error: None)
    published = {str(publisher.topic_name) for publisher in set(node.publishers) - before}
    outputs.close()
    node.destroy_node()
    rclpy.shutdown(context=context)
    without_argument = {f"/names/{name}/compressed" for name in COMPRESSED}  # these follow NAME
    assert without_argument <= published
    assert published - without_argument == {f"/names/{name}" for name in OUTPUTS}
    assert {*OUTPUTS, *INPUTS} <= DEFAULTS.keys()


@pytest.mark.parametrize("text", ["", "yes", "2", "not true"])
def test_a_switch_is_true_or_false(text: str) -> None:
    with pytest.raises(ValueError, match=rf"use_respawn is '{text}': must be true or false"):
        switch("use_respawn", text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("front", ["front"]),
        ("front,rear", ["front", "rear"]),
        (" front , left/rear ", ["front", "left/rear"]),
        ("['front', 'rear']", ["front", "rear"]),
        ('["front"]', ["front"]),
        ("[]", []),
        ('[""]', []),
        ("front,", ["front", ""]),  # the node refuses the name
    ],
)
def test_camera_names_are_read_from_both_spellings(text: str, names: list[str]) -> None:
    assert camera_names(text) == names


def test_topics_are_remapped_where_they_are_given() -> None:
    given = {"image": "/camera/image_raw", "instances": "objects", "debug_image": "/picture", "tf": "/tf"}
    assert remappings({**DEFAULTS, **given}) == [
        ("/tf", "/tf"),
        ("/tf_static", "/tf_static"),
        ("image", "/camera/image_raw"),
        ("~/instances", "objects"),
        ("~/debug_image", "/picture"),
        ("~/debug_image/compressed", "/picture/compressed"),
    ]


def test_each_camera_has_topics_of_its_own() -> None:
    given = {
        "cameras": "front,left/rear",
        "front_image": "/f/image",
        "front_instances": "/f/objects",
        "left/rear_depth": "/r/depth",
        "middle_image": "/m/image",
    }
    assert remappings({**DEFAULTS, **given}) == [
        *TF,
        ("front/image", "/f/image"),
        ("~/front/instances", "/f/objects"),
        ("left/rear/depth", "/r/depth"),
    ]


def test_a_camera_called_debug_is_not_confused_with_the_debug_image() -> None:
    assert remappings({**DEFAULTS, "cameras": "debug"}) == TF
    assert ("debug/image", "/x") in remappings({**DEFAULTS, "cameras": "debug", "debug_image": "/x"})


def test_topics_of_the_only_camera_beside_several_are_named() -> None:
    given = {**DEFAULTS, "cameras": "front,rear", "image": "/camera/image_raw"}
    (warning,) = without_effect(given)
    assert "image:=" in warning and "front_image:=" in warning
    assert remappings(given) == TF


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ROS_DISTRO": "jazzy"}, {"FASTRTPS_DEFAULT_PROFILES_FILE": str(PROFILE)}),
        ({"ROS_DISTRO": "kilted"}, {"FASTDDS_DEFAULT_PROFILES_FILE": str(PROFILE)}),
        ({"ROS_DISTRO": "jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE": "/mine.xml"}, {}),
        ({"ROS_DISTRO": "kilted", "FASTDDS_DEFAULT_PROFILES_FILE": "/mine.xml"}, {}),
        ({"ROS_DISTRO": "jazzy", "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}, {}),
        ({"ROS_DISTRO": "jazzy", "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, {}),
        (
            {"ROS_DISTRO": "jazzy", "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"},
            {"FASTRTPS_DEFAULT_PROFILES_FILE": str(PROFILE)},
        ),
    ],
)
def test_the_profile_is_ours_unless_the_environment_chooses(
    environment: dict[str, str], expected: dict[str, str], tmp_path: Path
) -> None:
    assert image_environment("auto", str(PROFILE), environment, str(tmp_path)) == (expected, [])
    assert image_environment("none", str(PROFILE), environment, str(tmp_path)) == ({}, [])


def test_a_given_profile_overrides_the_environments(tmp_path: Path) -> None:
    environment = {"ROS_DISTRO": "jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE": "/mine.xml"}
    file = tmp_path / "theirs.xml"
    file.touch()
    found, _ = image_environment(str(file), str(PROFILE), environment)
    assert found == {"FASTRTPS_DEFAULT_PROFILES_FILE": str(file)}
    with pytest.raises(ValueError, match=r"fastdds_profile is '/no/such\.xml': must be auto, none or a file"):
        image_environment("/no/such.xml", str(PROFILE), environment)


def test_without_free_shared_memory_fast_dds_keeps_its_defaults_and_the_cure_is_named(tmp_path: Path) -> None:
    found, (warning,) = image_environment("auto", str(PROFILE), {}, str(tmp_path / "missing"))
    assert found == {}
    assert "0 MiB free" in warning and "--shm-size" in warning and "--ipc=host" in warning


def test_the_profile_fits_a_containers_shared_memory_and_keeps_the_builtin_transports() -> None:
    xml = ElementTree.parse(PROFILE)
    (size,) = xml.iterfind(".//{http://www.eprosima.com}segment_size")
    (builtin,) = xml.iterfind(".//{http://www.eprosima.com}useBuiltinTransports")
    assert int(size.text or 0) == SEGMENT_BYTES
    assert 8 << 20 <= SEGMENT_BYTES <= 16 << 20  # 1080p needs 8 MiB; three processes share Docker's 64
    assert builtin.text == "true"
