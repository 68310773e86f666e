"""Messages to and from seg_node's types.

No node, no topics: each function takes and returns plain values.
"""
