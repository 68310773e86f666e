"""Everything that imports ROS: the node, messages, and the commands play, view and demo.

No tensor arithmetic.
"""
