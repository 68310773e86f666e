"""What the node, play, view and demo share: QoS, signals, memory and command lines.

What only one of them needs belongs to it.
"""
