"""Objects in metres: lift masks and depth to points, centroids and oriented boxes, and transform them.

TF itself and messages belong to ros/.
"""
