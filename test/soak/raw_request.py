# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Any bytes as a request to a ROS 2 service, which rclpy's clients cannot send.

A service's requests are a DDS topic, `rq/NAMERequest`, of the type `PACKAGE::srv::dds_::NAME_Request_`
(design.ros2.org/articles/topic_and_service_names.html). The request is a message type of its own, with the
right type name; only the topic's name is out of rclpy's reach, so the publisher is made by the layer below.
This is so for the DDS middlewares (Fast DDS, Cyclone DDS); Zenoh's queries would need something else.
"""

import ctypes
from typing import Any

from rclpy.node import Node
from rclpy.utilities import get_rmw_implementation_identifier

_KEEP_LAST, _RELIABLE, _VOLATILE, _AUTOMATIC = 1, 1, 2, 1  # rmw/types.h, rmw/qos_policy_kind.h


class _Time(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_uint64), ("nsec", ctypes.c_uint64))


class _QoS(ctypes.Structure):
    """rmw_qos_profile_t"""

    _fields_ = (
        ("history", ctypes.c_int),
        ("depth", ctypes.c_size_t),
        ("reliability", ctypes.c_int),
        ("durability", ctypes.c_int),
        ("deadline", _Time),
        ("lifespan", _Time),
        ("liveliness", ctypes.c_int),
        ("liveliness_lease_duration", _Time),
        ("avoid_ros_namespace_conventions", ctypes.c_bool),
    )


class _Options(ctypes.Structure):
    """rmw_publisher_options_t"""

    _fields_ = (("payload", ctypes.c_void_p), ("unique_network_flow_endpoints", ctypes.c_int))


class _Allocator(ctypes.Structure):
    """rcutils_allocator_t"""

    _fields_ = tuple(
        (name, ctypes.c_void_p) for name in ("allocate", "deallocate", "reallocate", "zero_allocate", "state")
    )


class _Bytes(ctypes.Structure):
    """rmw_serialized_message_t"""

    _fields_ = (
        ("buffer", ctypes.c_char_p),
        ("length", ctypes.c_size_t),
        ("capacity", ctypes.c_size_t),
        ("allocator", _Allocator),
    )


class RawRequests:
    """Publishes on a service's request topic."""

    def __init__(self, node: Node, service_type: Any, service: str) -> None:
        """service: its full name, such as "/seg_node/segment"."""
        self._rmw = _middleware()
        self._rmw_node = _rmw_node(node)
        topic = f"rq{service}Request".encode()
        qos = _QoS(_KEEP_LAST, 100, _RELIABLE, _VOLATILE, liveliness=_AUTOMATIC)
        qos.avoid_ros_namespace_conventions = True
        create = self._rmw.rmw_create_publisher
        create.restype = ctypes.c_void_p
        create.argtypes = (
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
        )
        support = _type_support(service_type.Request)
        options = _Options()
        self._publisher = create(self._rmw_node, support, topic, ctypes.byref(qos), ctypes.byref(options))
        if not self._publisher:
            raise RuntimeError(f"no publisher for {topic.decode()}")

    def matched(self) -> int:
        """Number of servers that receive the requests."""
        count = ctypes.c_size_t()
        self._rmw.rmw_publisher_count_matched_subscriptions.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        self._rmw.rmw_publisher_count_matched_subscriptions(self._publisher, ctypes.byref(count))
        return count.value

    def send(self, cdr: bytes) -> bool:
        """cdr: the 4 bytes of encapsulation, then the request. False when the middleware does not take it."""
        message = _Bytes(cdr, len(cdr), len(cdr))
        publish = self._rmw.rmw_publish_serialized_message
        publish.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        return int(publish(self._publisher, ctypes.byref(message), None)) == 0

    def close(self) -> None:
        destroy = self._rmw.rmw_destroy_publisher
        destroy.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        destroy(self._rmw_node, self._publisher)


def _middleware() -> ctypes.CDLL:
    """The layer that rclpy was linked with: one that chooses, or in ROS 2's wheels the middleware itself."""
    try:
        return ctypes.CDLL("librmw_implementation.so")
    except OSError:
        return ctypes.CDLL(f"lib{get_rmw_implementation_identifier()}.so")


def _rmw_node(node: Node) -> int:
    get = ctypes.CDLL("librcl.so").rcl_node_get_rmw_handle
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
    return int(get(node.handle.pointer))


def _type_support(message_type: Any) -> int:
    meta = type(message_type)
    if meta._TYPE_SUPPORT is None:
        meta.__import_type_support__()
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    return int(pointer(meta._TYPE_SUPPORT, name(meta._TYPE_SUPPORT)))
