"""The subcommands of `seg_node` that need no ROS: segment and evaluate.

Arguments are parsed in cli.py.
"""
