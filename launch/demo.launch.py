# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Play a recorded camera stream to the node: `ros2 launch seg_node demo.launch.py`; rviz:=true opens RViz."""

from pathlib import Path

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from seg_node.ros.node.launch_arguments import image_environment, switch

SHARE = FindPackageShare("seg_node")


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(
            "source",
            default_value=PathJoinSubstitution([SHARE, "demo", "tabletop"]),
            description="Source of the images: a video, a bag, a folder of images or /dev/video0.",
        ),
        DeclareLaunchArgument("image", default_value="/camera/image_raw", description="Topic of the images."),
        DeclareLaunchArgument(
            "depth", default_value="/camera/depth/image_raw", description="Topic of the depth images."
        ),
        DeclareLaunchArgument("depth_enabled", default_value="true", description="Locate objects in metres."),
        DeclareLaunchArgument(
            "depth_transport",
            default_value="compressedDepth",
            description="raw or compressedDepth, as in the source; the demo's own is compressed.",
        ),
        DeclareLaunchArgument(
            "rviz", default_value="false", description="Open RViz (rviz2) with rviz/seg_node.rviz."
        ),
    ]
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "seg_node.launch.py"])),
        launch_arguments={
            name: LaunchConfiguration(name) for name in ("image", "depth", "depth_enabled", "depth_transport")
        }.items(),
    )
    # RViz comes first: if it is requested but not installed, nothing is started.
    actions = [OpaqueFunction(function=rviz), node, OpaqueFunction(function=camera)]
    return LaunchDescription([*arguments, *actions])


def rviz(context: LaunchContext) -> list[Action]:
    """Start RViz if it is requested. Raises RuntimeError when it is not installed."""
    if not switch("rviz", context.launch_configurations["rviz"]):
        return []
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        raise RuntimeError(
            "rviz:=true, but rviz2 is not installed: apt install ros-$ROS_DISTRO-rviz2, or watch with "
            "`seg_node view` (docs/viewer.md)"
        ) from None
    view = PathJoinSubstitution([SHARE, "rviz", "seg_node.rviz"])
    return [Node(package="rviz2", executable="rviz2", arguments=["-d", view])]


def camera(context: LaunchContext) -> list[Action]:
    """Start the process that plays the source. As the images' sender it needs the Fast DDS profile most."""
    values = context.launch_configurations
    profile = str(Path(get_package_share_directory("seg_node")) / "config/fastdds_images.xml")
    environment, _ = image_environment(values["fastdds_profile"], profile, context.environment)
    return [
        Node(
            package="seg_node",
            executable="seg_node",
            name="camera",
            arguments=[
                "play",
                values["source"],
                "--loop",
                "--topic",
                values["image"],
                "--depth-topic",
                values["depth"],
                # The first start of a model on a slow computer takes longer than the default of a minute.
                "--wait",
                "600",
            ],
            additional_env=environment,
            output="screen",
        )
    ]
