"""Camera frames from image files, videos, bags and live cameras, each as (name, Frame).

No ROS: a running system's topics belong to ros/.
"""
