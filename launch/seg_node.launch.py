# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Start the node: `ros2 launch seg_node seg_node.launch.py image:=/camera/image_raw` (docs/integration.md)"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.logging import get_logger
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterFile
from launch_ros.substitutions import FindPackageShare

from seg_node.ros.node.launch_arguments import (
    ARGUMENTS,
    image_environment,
    parameters,
    remappings,
    switch,
    without_effect,
)

SHARE = FindPackageShare("seg_node")


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(
            argument.name,
            default_value=(
                PathJoinSubstitution([SHARE, *argument.default.split("/")])
                if argument.name == "params_file"
                else argument.default
            ),
            description=argument.description,
        )
        for argument in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[Action]:
    """Start the node with the arguments' values. Raises ValueError for invalid ones."""
    values = context.launch_configurations
    share = Path(get_package_share_directory("seg_node"))
    environment, warnings = image_environment(
        values["fastdds_profile"], str(share / "config/fastdds_images.xml"), context.environment
    )
    for warning in (*warnings, *without_effect(values)):
        get_logger(values["name"]).warning(warning)
    chosen = parameters(values)
    enclave = ["--enclave", values["enclave"]] if values["enclave"] else []
    defaults, given = parameter_files(values["params_file"], str(share / "config/seg_node.yaml"))
    return [
        LifecycleNode(
            package="seg_node",
            executable="node",
            name=values["name"],
            namespace=values["namespace"],
            exec_name=values["name"],
            parameters=[*given, *([chosen] if chosen else [])],
            remappings=remappings(values),
            ros_arguments=["--log-level", values["log_level"], *enclave, *defaults],
            additional_env=environment,
            respawn=switch("use_respawn", values["use_respawn"]),
            respawn_delay=2.0,
            output="screen",
        ),
    ]


def parameter_files(path: str, defaults: str) -> tuple[list[str], list[ParameterFile]]:
    """Return ROS arguments and parameters: defaults come first, so that an including file can override them.

    Raises ValueError when the file cannot be read: launch itself would only warn and start with defaults.
    """
    if path == defaults:
        return ["--params-file", defaults], []
    try:
        has_substitutions = "$(" in Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"params_file is '{path}', which cannot be read ({error})") from None
    return [], [ParameterFile(path, allow_substs=has_substitutions)]
