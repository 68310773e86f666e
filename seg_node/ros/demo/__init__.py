"""`seg_node demo`: the real node, a camera process and a recorder; leaves pictures, numbers and a table.

main.py runs it, processes.py starts and stops the others, recorder.py listens, report.py counts and writes,
pictures.py makes video and contact sheet, accuracy.py compares with ground truth.
"""
