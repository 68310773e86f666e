"""What the subcommands of `seg_node` do that need no ROS: segment and evaluate.

Arguments are parsed in cli.py.
"""
