"""Camera frames from image files, videos, bags and live cameras, each as (name, Frame).

No ROS: topics of a running system belong to ros/.
"""
