"""The segmentation node: receives images, runs the model in a worker thread, publishes results.

How a message is built belongs to ros/messages/.
"""
