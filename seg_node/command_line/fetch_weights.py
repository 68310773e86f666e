# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of `seg_node fetch-weights`."""

import argparse

_HELP = """\
Downloads published weights into $SEG_NODE_CACHE (default ~/.cache/seg_node) and checks their SHA-256.
Nothing else in seg_node downloads; --weights NAME and the node's model.weights read them from there."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    fetch = commands.add_parser(
        "fetch-weights",
        help="download published weights",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choice = fetch.add_mutually_exclusive_group(required=True)
    choice.add_argument("name", nargs="?", metavar="NAME", help="see --list")
    choice.add_argument("--list", action="store_true", help="list the names, and which are downloaded")
    fetch.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seg_node.models.files.published import LICENCE_NOTE, WEIGHTS, cached_weights, fetch_weights

    if options.name:
        print(f"{options.name}: {fetch_weights(options.name)}\n{LICENCE_NOTE}")
        return 0
    for name, url in WEIGHTS.items():
        try:
            place = str(cached_weights(name))
        except FileNotFoundError:
            place = f"not downloaded; {url}"
        except ValueError as error:
            place = str(error)
        print(f"{name}: {place}")
    return 0
