"""Objects in metres: masks and depth become points, centroids and oriented boxes, moved between frames.

TF itself and messages belong to ros/.
"""
