"""Start seg_node on one camera: `ros2 launch seg_node seg_node.launch.py image:=/camera/image_raw`."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import (
    EnvironmentVariable,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

# Private outputs of the node; each is a launch argument of the same name.
OUTPUTS = ["instances", "panoptic", "instance_map", "class_map", "debug_image", "timing"]
OUTPUTS += ["objects", "cloud", "markers", "detections", "detections_3d", "label_info"]
CONFIG = PathJoinSubstitution([FindPackageShare("seg_node"), "config"])


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument("image", default_value="image", description="Topic of the camera's images."),
        DeclareLaunchArgument(
            "depth", default_value="depth", description="Topic of depth aligned to them, for depth.enabled."
        ),
        DeclareLaunchArgument(
            "camera_info",
            default_value="camera_info",
            description="Topic of their CameraInfo; left as it is: the one beside the images.",
        ),
        *[
            DeclareLaunchArgument(name, default_value=f"~/{name}", description=f"Topic of the output {name}.")
            for name in OUTPUTS
        ],
        DeclareLaunchArgument("name", default_value="seg_node", description="Name of the node."),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node."),
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([CONFIG, "seg_node.yaml"]),
            description="YAML file with the node's parameters.",
        ),
        DeclareLaunchArgument("use_sim_time", default_value="false", description="Take time from /clock."),
        DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error."),
        DeclareLaunchArgument(
            "fastdds_profile",
            default_value=EnvironmentVariable(
                "FASTRTPS_DEFAULT_PROFILES_FILE",
                default_value=PathJoinSubstitution([CONFIG, "fastdds_images.xml"]),
            ),
            description="Fast DDS profile with shared memory for images; `none` changes nothing.",
        ),
    ]
    profile = LaunchConfiguration("fastdds_profile")
    uses_profile = IfCondition(NotEqualsSubstitution(profile, "none"))
    node = Node(
        package="seg_node",
        executable="node",
        name=LaunchConfiguration("name"),
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            LaunchConfiguration("params_file"),
            {"use_sim_time": LaunchConfiguration("use_sim_time")},
        ],
        remappings=[
            *[(name, LaunchConfiguration(name)) for name in ("image", "depth", "camera_info")],
            *[(f"~/{name}", LaunchConfiguration(name)) for name in OUTPUTS],
            ("~/debug_image/compressed", [LaunchConfiguration("debug_image"), "/compressed"]),
        ],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    return LaunchDescription(
        [
            *arguments,
            # Fast DDS 2 (Jazzy) reads the first name, Fast DDS 3 (Kilted and later) the second.
            SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile, condition=uses_profile),
            SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile, condition=uses_profile),
            node,
        ]
    )
