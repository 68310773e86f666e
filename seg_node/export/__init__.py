"""`seg_node export`: the dense part of a network as a file for one image size, and that file in its place.

`open_model` opens every model, with or without such a file.
"""
