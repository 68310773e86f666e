"""The pixels of camera messages and image files in memory, as uint8 arrays and depth in metres.

Headers are checked before anything is decoded. No files on disk, no ROS, no torch.
"""
