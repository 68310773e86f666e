"""Read camera frames and their calibration, depth and TF from ROS bags, without ROS.

The intact messages of damaged bags are read.
"""
