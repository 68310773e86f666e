"""A camera stream without a camera: `ros2 launch seg_node demo.launch.py`, with RViz by rviz:=true."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("seg_node")


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(
            "source",
            default_value=PathJoinSubstitution([SHARE, "demo", "tabletop"]),
            description="What the camera sees: a video, a bag, a folder of images or /dev/video0.",
        ),
        DeclareLaunchArgument("image", default_value="/camera/image_raw", description="Topic of the images."),
        DeclareLaunchArgument(
            "depth", default_value="/camera/depth/image_raw", description="Topic of the depth images."
        ),
        DeclareLaunchArgument(
            "rviz", default_value="false", description="Open RViz with rviz/seg_node.rviz."
        ),
    ]
    # Before the camera: it sets the Fast DDS profile, which the camera's process needs most.
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "seg_node.launch.py"])),
        launch_arguments={
            "image": LaunchConfiguration("image"),
            "depth": LaunchConfiguration("depth"),
            "params_file": PathJoinSubstitution([SHARE, "config", "demo.yaml"]),
        }.items(),
    )
    camera = Node(
        package="seg_node",
        executable="seg_node",
        name="camera",
        arguments=[
            "play",
            LaunchConfiguration("source"),
            "--loop",
            "--topic",
            LaunchConfiguration("image"),
            "--depth-topic",
            LaunchConfiguration("depth"),
            # The first start of a model on a weak computer takes longer than the usual minute.
            "--wait",
            "600",
        ],
        output="screen",
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", PathJoinSubstitution([SHARE, "rviz", "seg_node.rviz"])],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription([*arguments, node, camera, rviz])
