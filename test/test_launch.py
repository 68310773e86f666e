"""The launch files, with the real `launch`; skipped where it is not installed (it is not on PyPI)."""

import importlib.util
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")
pytest.importorskip("launch_ros", reason="launch_ros is not in this environment")

from node_harness import Probe, image_message, picture, wait_until
from sensor_msgs.msg import Image

from seg_node.msg import InstanceMaskArray

LAUNCH = Path(__file__).resolve().parents[1] / "launch"
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = [tuple(argument.split(":=", 1)) for argument in sys.argv[2:]]
source = PythonLaunchDescriptionSource(sys.argv[1])
service = LaunchService()
included = IncludeLaunchDescription(source, launch_arguments=arguments)
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("launch_file", LAUNCH / name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["seg_node.launch.py", "demo.launch.py"])
def test_every_argument_is_described(name: str) -> None:
    arguments = load(name).generate_launch_description().get_launch_arguments()
    assert arguments and all(argument.description for argument in arguments)


def test_there_is_an_argument_for_every_topic() -> None:
    module = load("seg_node.launch.py")
    names = {argument.name for argument in module.generate_launch_description().get_launch_arguments()}
    outputs = (LAUNCH.parent / "seg_node/ros/outputs.py").read_text()
    published = set(re.findall(r'_create\([\w.]+, "(\w+)"', outputs))
    published |= set(re.findall(r'{prefix}(\w+)"', outputs))
    assert {"instances", "objects", "timing"} <= published
    assert published | {"image", "depth", "camera_info", "debug_image"} <= names
    assert {"namespace", "params_file", "log_level", "use_sim_time", "fastdds_profile"} <= names


def test_the_launched_node_serves_the_remapped_camera(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(yaml.safe_dump({"/**": {"ros__parameters": {**weights, "always_on": True}}}))
    command = [sys.executable, "-c", RUN, str(LAUNCH / "seg_node.launch.py")]
    command += [
        "image:=/robot/camera/image_raw",
        "namespace:=robot",
        "name:=eyes",
        f"params_file:={parameters}",
    ]
    process = subprocess.Popen(command)
    try:
        heard = probe.listen(InstanceMaskArray, "/robot/eyes/instances")
        camera = probe.publisher(Image, "/robot/camera/image_raw")
        camera.publish(image_message(picture(), 1000))
        wait_until(lambda: bool(heard), 30, "an output")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
