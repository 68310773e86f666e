"""`seg_node export`: the dense part of a network as a file for one image size, and that file in its place.

Loading and running a model without such a file needs nothing from here.
"""
