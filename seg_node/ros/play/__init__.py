"""`seg_node play`: images, videos and bags published as a camera.

Reading files belongs to sources/.
"""
