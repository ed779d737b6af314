"""Runs commands in one system's environment: reads JSON lines, writes JSON lines.

    python -m benchmarks.side_by_side.control ours

A line is ``["method of the store", {arguments}]``; the answer has the result and the CPU seconds
that this process used for it.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def store_of(name: str) -> Any:
    """Return the store of the system with this name."""
    if name == "ours":
        from benchmarks.side_by_side.stores.ours import OurStore

        return OurStore()
    if name == "peer":
        from benchmarks.side_by_side.stores.peer import PeerStore

        return PeerStore()
    from benchmarks.side_by_side.stores.floor import FloorStore

    return FloorStore()


def main(name: str) -> None:
    import django

    django.setup()
    store = store_of(name)
    # What a library prints must not be taken for a result.
    output, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        method, arguments = json.loads(line)
        began = time.process_time()
        try:
            result: dict[str, Any] = {"result": getattr(store, method)(**arguments)}
        except Exception as exc:
            result = {"error": f"{type(exc).__name__}: {exc}"}
        result["cpu"] = time.process_time() - began
        print(json.dumps(result), file=output, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
