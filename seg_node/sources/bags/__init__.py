"""Camera frames and their calibration, depth and TF from ROS bags, read without ROS.

Damaged bags give what is whole in them.
"""
