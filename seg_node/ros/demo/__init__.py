"""`seg_node demo`: node, camera stream and recorder in one command, with figures at the end.

It uses the node as any other process would.
"""
