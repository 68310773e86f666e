"""A network's objects and masks become `Instances`, only their crops downloaded from the device.

Which objects are kept is decided by the families.
"""
