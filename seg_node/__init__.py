"""seg_node: which pixels of a camera image belong to which object."""

from pkgutil import extend_path

# The generated messages (seg_node.msg) are installed in another folder of the same name.
__path__ = extend_path(__path__, __name__)
__version__ = "0.1.0"
