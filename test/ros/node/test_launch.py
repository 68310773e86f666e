# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The launch files, with the real `launch`; skipped where it is not installed (it is not on PyPI)."""

import importlib.util
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")
pytest.importorskip("launch_ros", reason="launch_ros is not in this environment")

from launch import LaunchContext, LaunchDescriptionEntity
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import LifecycleNode
from launched import LAUNCH, SEG_NODE, WAITS, Launched, launched
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from node_harness import START_TIMEOUT_S, Probe, image_message, picture, wait_until
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python
from sensor_msgs.msg import Image

from seg_node.msg import InstanceMaskArray
from seg_node.ros.node.launch_arguments import ARGUMENTS

RESTING = "autostart:=false"
HEAD = """
from launch import LaunchDescription
from launch.actions import *
from launch.launch_description_sources import AnyLaunchDescriptionSource
from launch_ros.actions import *
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState, matches_node_name
def include(**arguments):
    return IncludeLaunchDescription(AnyLaunchDescriptionSource(SEG_NODE), launch_arguments=arguments.items())
"""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("launch_file", LAUNCH / name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def including(folder: Path, actions: str) -> Path:
    """A launch file of somebody else's; actions: Python, a list."""
    file = folder / "robot.launch.py"
    body = f"def generate_launch_description():\n    return LaunchDescription({actions})\n"
    file.write_text(f"SEG_NODE = {str(SEG_NODE)!r}\n{HEAD}\n{body}")
    return file


def parameter_file(folder: Path, parameters: dict[str, Any]) -> Path:
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    return file


def nodes(entity: LaunchDescriptionEntity, context: LaunchContext) -> Iterator[LifecycleNode]:
    """What would be started, in order; nothing is."""
    if isinstance(entity, LifecycleNode):
        yield entity
    else:
        for inner in entity.visit(context) or []:
            yield from nodes(inner, context)


def values(probe: Probe, names: list[str], node: str = "/seg_node") -> list[Any]:
    request = GetParameters.Request(names=names)
    answer, _ = probe.call(GetParameters, f"{node}/get_parameters", request)
    return [parameter_value_to_python(value) for value in answer.values]


def command_line(running: Launched) -> list[str]:
    return Path(f"/proc/{running.pids()[-1]}/cmdline").read_bytes().decode().split("\0")


# --- arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["seg_node.launch.py", "demo.launch.py"])
def test_every_argument_is_described(name: str) -> None:
    arguments = load(name).generate_launch_description().get_launch_arguments()
    assert arguments and all(argument.description for argument in arguments)


def test_the_launch_file_declares_the_table() -> None:
    declared = load("seg_node.launch.py").generate_launch_description().get_launch_arguments()
    assert [argument.name for argument in declared] == [argument.name for argument in ARGUMENTS]


def test_the_launched_node_serves_the_remapped_camera(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    parameters = parameter_file(tmp_path, {**weights, "always_on": True})
    arguments = ("image:=/robot/camera/image_raw", "namespace:=robot", "name:=eyes")
    with launched(SEG_NODE, tmp_path, *arguments, f"params_file:={parameters}") as running:
        running.wait_for("waiting for images on /robot/camera/image_raw")
        heard = probe.listen(InstanceMaskArray, "/robot/eyes/instances")
        camera = probe.publisher(Image, "/robot/camera/image_raw")
        camera.publish(image_message(picture(), 1000))
        wait_until(lambda: bool(heard), START_TIMEOUT_S, "an output")


def test_the_params_file_is_used_where_no_argument_is_given(tmp_path: Path, probe: Probe) -> None:
    mine = {"autostart": False, "use_sim_time": True, "device": "cpu", "target_frame": "map", "min_area": 7}
    mine = {**mine, "depth": {"enabled": True}, "model": {"labels": "/a.yaml"}, "cameras": ["front", "rear"]}
    file = parameter_file(tmp_path, mine)
    with launched(SEG_NODE, tmp_path, f"params_file:={file}", "target_frame:=odom") as running:
        running.wait_for(WAITS)
        names = [
            "use_sim_time",
            "device",
            "min_area",
            "depth.enabled",
            "model.labels",
            "cameras",
            "target_frame",
        ]
        found = values(probe, names)
    assert found == [True, "cpu", 7, True, "/a.yaml", ["front", "rear"], "odom"]


def test_the_params_file_may_contain_substitutions(tmp_path: Path, probe: Probe) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("/**:\n  ros__parameters:\n    model:\n      labels: $(env FOLDER)/labels.yaml\n")
    with launched(SEG_NODE, tmp_path, RESTING, f"params_file:={file}", FOLDER="/models") as running:
        running.wait_for(WAITS)
        assert values(probe, ["model.labels", "autostart"]) == ["/models/labels.yaml", False]


def test_a_missing_params_file_is_refused(tmp_path: Path) -> None:
    with launched(SEG_NODE, tmp_path, "params_file:=/no/such.yaml") as running:
        assert running.ended() == 1
        assert "params_file is '/no/such.yaml'" in running.log
        assert not running.pids()


@pytest.mark.parametrize("argument", ["use_respawn:=maybe", "autostart:=2", "fastdds_profile:=/no/such.xml"])
def test_an_invalid_argument_is_refused_by_name(argument: str, tmp_path: Path) -> None:
    name, value = argument.split(":=")
    with launched(SEG_NODE, tmp_path, argument) as running:
        assert running.ended() == 1
        assert f"{name} is '{value}': must be" in running.log
        assert not running.pids()


def test_cameras_have_inputs_of_their_own(weights: dict[str, Any], tmp_path: Path) -> None:
    file = parameter_file(tmp_path, weights)
    arguments = ("cameras:=front,rear", "front_image:=/f/image_raw", "rear_image:=/r/image_raw", "image:=/x")
    with launched(SEG_NODE, tmp_path, *arguments, f"params_file:={file}") as running:
        running.wait_for("waiting for images on /f/image_raw, /r/image_raw")
        assert "image:= has no effect" in running.log


@pytest.mark.parametrize(
    ("arguments", "topic"),
    [((), "/tf"), (("namespace:=robot",), "/robot/tf"), (("namespace:=robot", "tf:=/tf"), "/tf")],
)
def test_tf_is_remapped_into_the_namespace(
    arguments: tuple[str, ...], topic: str, tmp_path: Path, probe: Probe
) -> None:
    node = "/robot/seg_node" if arguments else "/seg_node"
    with launched(SEG_NODE, tmp_path, RESTING, *arguments) as running:
        running.wait_for(WAITS)
        values(probe, ["autostart"], node)
        line = command_line(running)
    rules = dict(rule.split(":=") for rule in line if ":=" in rule)
    namespace = node.removesuffix("/seg_node")
    assert rules["/tf"] in (topic, topic.removeprefix(f"{namespace}/"))
    assert rules["/tf_static"] == rules["/tf"] + "_static"


def test_the_documents_launch_files_load(tmp_path: Path) -> None:
    text = (LAUNCH.parent / "docs/integration.md").read_text()
    files = [
        block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "def generate" in block
    ]
    assert len(files) == 2
    for number, block in enumerate(files):
        file = tmp_path / f"{number}.launch.py"
        file.write_text(block)
        context = LaunchContext()
        description = PythonLaunchDescriptionSource(str(file)).get_launch_description(context)
        assert len(list(nodes(description, context))) == 1 + number  # the second file has two robots


# --- inside other launch files ------------------------------------------------------------------------


def test_set_parameter_and_push_namespace_of_a_group_apply(tmp_path: Path, probe: Probe) -> None:
    group = "[PushRosNamespace('robot'), SetParameter('use_sim_time', True), SetParameter('device', 'cpu'), "
    file = including(tmp_path, f"[GroupAction({group} include(autostart='false', name='eyes')])]")
    with launched(file, tmp_path) as running:
        running.wait_for(WAITS)
        assert values(probe, ["use_sim_time", "device"], "/robot/eyes") == [True, "cpu"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            "xml",
            '<launch><include file="FILE"><arg name="autostart" value="false"/>'
            '<arg name="device" value="cpu"/></include></launch>',
        ),
        (
            "yaml",
            "launch: [{include: {file: FILE, arg: ["
            "{name: autostart, value: 'false'}, {name: device, value: cpu}]}}]",
        ),
    ],
)
def test_xml_and_yaml_files_can_include_it(kind: str, text: str, tmp_path: Path, probe: Probe) -> None:
    pytest.importorskip(f"launch_{kind}", reason=f"launch_{kind} is not in this environment")
    file = tmp_path / f"robot.launch.{kind}"
    file.write_text(text.replace("FILE", str(SEG_NODE)))
    with launched(file, tmp_path) as running:
        running.wait_for(WAITS)
        assert values(probe, ["autostart", "device"]) == [False, "cpu"]


def test_only_our_process_receives_the_profile(tmp_path: Path) -> None:
    other = "ExecuteProcess(cmd=['env'], output='screen')"
    file = including(tmp_path, f"[include(autostart='false'), {other}]")
    clean = dict.fromkeys(("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"), "")
    with launched(file, tmp_path, **clean) as running:
        running.wait_for(WAITS)
        found = running.environment_of_node()
        profiles = {found.get(name, "") for name in clean} - {""}
        assert {Path(profile).name for profile in profiles} == {"fastdds_images.xml"}
        running.wait_for("ROS_DISTRO=")
        assert not re.search(r"\[env-\d+\] FAST\w+_DEFAULT_PROFILES_FILE=.", running.log)


def test_a_users_own_profile_is_kept(tmp_path: Path) -> None:
    mine = tmp_path / "mine.xml"
    mine.write_text((LAUNCH.parent / "config/fastdds_images.xml").read_text())
    variables = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    with launched(SEG_NODE, tmp_path, RESTING, **dict.fromkeys(variables, str(mine))) as running:
        running.wait_for(WAITS)
        found = running.environment_of_node()
    assert {found[name] for name in variables} == {str(mine)}


# --- life ---------------------------------------------------------------------------------------------


def test_lifecycle_events_reach_the_node(weights: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    file = parameter_file(tmp_path, weights)
    actions = f"""[
        include(autostart="false", params_file={str(file)!r}),
        RegisterEventHandler(OnStateTransition(goal_state="inactive", entities=[LogInfo(msg="IS INACTIVE")])),
        EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_node_name("/seg_node"), transition_id=1)),
    ]"""
    with launched(including(tmp_path, actions), tmp_path) as running:
        running.wait_for("IS INACTIVE")
        answer, _ = probe.call(GetState, "/seg_node/get_state", GetState.Request())
        assert answer.current_state.id == State.PRIMARY_STATE_INACTIVE


def test_use_respawn_restarts_the_node(tmp_path: Path) -> None:
    with launched(SEG_NODE, tmp_path, RESTING, "use_respawn:=true") as running:
        running.wait_for(WAITS)
        os.kill(running.pids()[0], signal.SIGKILL)
        running.wait_for(WAITS, 2)
        assert len(running.pids()) == 2


def test_without_use_respawn_it_is_not_restarted(tmp_path: Path) -> None:
    with launched(SEG_NODE, tmp_path, RESTING) as running:
        running.wait_for(WAITS)
        os.kill(running.pids()[0], signal.SIGKILL)
        running.ended()
        assert len(running.pids()) == 1


# --- the demo -----------------------------------------------------------------------------------------


def test_the_demo_without_rviz2_fails_with_the_cure_and_starts_nothing(tmp_path: Path) -> None:
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        pass
    else:
        pytest.skip("rviz2 is installed")
    with launched(LAUNCH / "demo.launch.py", tmp_path, "rviz:=true") as running:
        assert running.ended() == 1
        assert "rviz2 is not installed" in running.log
        assert "process started" not in running.log


def test_the_demos_camera_reaches_the_node(weights: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    file = parameter_file(tmp_path, {**weights, "always_on": True})
    with launched(LAUNCH / "demo.launch.py", tmp_path, f"params_file:={file}") as running:
        running.wait_for("waiting for images on /camera/image_raw")
        heard = probe.listen(InstanceMaskArray, "/seg_node/instances")
        wait_until(lambda: bool(heard), START_TIMEOUT_S, "an output")
        assert values(probe, ["depth.enabled", "depth.transport"]) == [True, "compressedDepth"]
