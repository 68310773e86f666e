"""Decoders for camera messages and image files in memory: uint8 pixels, and depth in metres.

Headers are checked before anything is decoded. No files on disk, no ROS, no torch.
"""
