# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Many calls of the node's services, right and wrong: python -m soak.storm KIND --count N --seed S

KIND: transitions (valid, not valid now, unknown; never to shut down), segment (good and hostile images),
services (enable, reset_tracks, parameters of every type, also unknown ones, states), raw (bytes as requests
of every service). Prints the counts as JSON; "unanswered" must be 0.
"""

import argparse
import json
import sys
from collections.abc import Callable
from random import Random
from typing import Any

from fuzz import mutate
from fuzz.targets import image, parameters
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState
from node_harness import NODE, Probe, image_message, picture, wait_until
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.serialization import serialize_message
from std_srvs.srv import SetBool, Trigger

from seg_node.srv import Segment
from soak.client import Client
from soak.raw_request import RawRequests

_SHUTDOWNS = (b"\5", b"\6", b"\7")  # these transitions end the node, as they should
_TRANSITIONS = (1, 2, 3, 3, 3, 3, 4, 4, 4, 0, 8, 9, 10, 11, 12, 60, 61, 62, 97, 255)
_UNKNOWN_TYPE = 99
Call = tuple[type[Any], str, Any]


def _transition(random: Random) -> Call:
    transition = Transition(id=random.choice(_TRANSITIONS))
    if random.random() < 0.1:
        transition = Transition(id=0, label=random.choice(("activate", "nonsense", "", "x" * 5000)))
    return ChangeState, f"{NODE}/change_state", ChangeState.Request(transition=transition)


def _segment(random: Random) -> Call:
    if random.random() < 0.5:
        message = image_message(picture(60, 80, random.randrange(4)), random.randrange(10**6))
    else:
        message = _hostile_image(random)
    request = Segment.Request(image=message, panoptic=random.random() < 0.3)
    return Segment, f"{NODE}/segment", request


def _hostile_image(random: Random) -> Any:
    fields = image.make(random)
    message = image_message(picture(4, 4), 1)
    for name in ("height", "width", "encoding", "step", "is_bigendian"):
        setattr(message, name, fields[name])
    message.data.frombytes(fields["data"])
    return message


def _service(random: Random) -> Call:
    names = [random.choice(parameters.NAMES) for _ in range(random.choice((0, 1, 3)))]
    values = [_parameter(random) for _ in range(random.choice((0, 1, 2)))]
    depth = random.choice((0, 1, 9))
    requests: dict[str, tuple[type[Any], Any]] = {
        "enable": (SetBool, SetBool.Request(data=random.random() < 0.8)),
        "reset_tracks": (Trigger, Trigger.Request()),
        "set_parameters": (SetParameters, SetParameters.Request(parameters=values)),
        "set_parameters_atomically": (
            SetParametersAtomically,
            SetParametersAtomically.Request(parameters=values),
        ),
        "get_parameters": (GetParameters, GetParameters.Request(names=names)),
        "get_parameter_types": (GetParameterTypes, GetParameterTypes.Request(names=names)),
        "describe_parameters": (DescribeParameters, DescribeParameters.Request(names=names)),
        "list_parameters": (ListParameters, ListParameters.Request(prefixes=names, depth=depth)),
        "get_state": (GetState, GetState.Request()),
        "get_available_states": (GetAvailableStates, GetAvailableStates.Request()),
        "get_available_transitions": (GetAvailableTransitions, GetAvailableTransitions.Request()),
    }
    name = random.choice(list(requests))
    service_type, request = requests[name]
    return service_type, f"{NODE}/{name}", request


def _parameter(random: Random) -> Parameter:
    value = ParameterValue(type=random.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, _UNKNOWN_TYPE, 255)))
    value.bool_value = random.random() < 0.5
    value.integer_value = random.choice((0, 1, -1, (1 << 63) - 1, -(1 << 63)))
    value.double_value = mutate.real(random)
    value.string_value = random.choice(("", "cup", "rle", "x" * 1000))
    value.integer_array_value = [random.choice((0, 5, -1))] * random.choice((0, 4, 100))
    value.string_array_value = [random.choice(("", "cup", "nothing"))] * random.choice((0, 1, 100))
    return Parameter(name=random.choice(parameters.NAMES), value=value)


_KINDS: dict[str, Callable[[Random], Call]] = {
    "transitions": _transition,
    "segment": _segment,
    "services": _service,
}


def run_calls(make: Callable[[Random], Call], count: int, seed: int, at_once: int) -> dict[str, int]:
    """The counts of so many calls."""
    probe = Probe()
    client = Client(probe, at_once)
    random = Random(f"storm {seed}")
    for _ in range(count):
        service_type, name, request = make(random)
        if not client.call(service_type, name, request, _outcome):
            break
    unanswered = client.wait()
    probe.close()
    return {**client.counts, "unanswered": unanswered}


def _outcome(answer: Any) -> str:
    return "succeeded" if getattr(answer, "success", True) else "refused"


def run_raw(count: int, seed: int) -> dict[str, int]:
    """Damaged requests to every service in turn; nobody waits for an answer."""
    probe, random, sent = Probe(), Random(f"raw {seed}"), 0
    publishers: dict[str, RawRequests] = {}
    for _ in range(count):
        make = random.choice(list(_KINDS.values()))
        service_type, name, request = make(random)
        if name not in publishers:
            publishers[name] = RawRequests(probe.node, service_type, name)
            wait_until(lambda p=publishers[name]: p.matched() > 0, 30, name)  # type: ignore[misc]
        cdr = serialize_message(request)
        damaged = _damaged(cdr[4:], random)
        if service_type is not ChangeState or damaged[:1] not in _SHUTDOWNS:
            sent += publishers[name].send(cdr[:4] + damaged)
    for publisher in publishers.values():
        publisher.close()
    probe.close()
    return {"sent": sent, "unanswered": 0}


def _damaged(cdr: bytes, random: Random) -> bytes:
    """Cut off, changed, or with a length that is not there."""
    if random.random() < 0.3 and len(cdr) >= 8:
        at = random.randrange(len(cdr) // 4) * 4
        length = random.choice((1 << 20, 900_000_000, (1 << 31) - 1, (1 << 32) - 1))
        return cdr[:at] + length.to_bytes(4, "little") + cdr[at + 4 :]
    return mutate.mutate_bytes(cdr, random)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=(*_KINDS, "raw"))
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=4, help="calls that wait for an answer at one time")
    arguments = parser.parse_args()
    if arguments.kind == "raw":
        counts = run_raw(arguments.count, arguments.seed)
    else:
        counts = run_calls(_KINDS[arguments.kind], arguments.count, arguments.seed, arguments.at_once)
    print(json.dumps(counts), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
