"""Put our service class in the LMS in place of the platform's.

The platform has no setting for the service ``xqueue``. It looks the class up by its name in one
module when it prepares a block, so an assignment to that name is sufficient.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib import import_module

CLASS_NAME = "XQueueService"
#: The modules that hold the name: in releases of 2026, then in those before.
MODULES = ("lms.djangoapps.courseware.block_render", "xmodule.capa_block")
#: What a problem block reads of the service, in every release that we know.
MEMBERS = frozenset({"interface", "construct_callback", "default_queuename", "waittime"})


@dataclass(frozen=True)
class Installation:
    """What ``install`` did: the module that has our class now, or why none has."""

    module: str | None
    problem: str | None = None


def install(service: type) -> Installation:
    """Assign ``service`` to the platform's name, if its class there has the form that we know."""
    for module_name in MODULES:
        try:
            module = import_module(module_name)
        except ImportError as exc:
            return Installation(None, f"{module_name} cannot be imported: {type(exc).__name__}")
        theirs = getattr(module, CLASS_NAME, None)
        if theirs is None:
            continue
        if theirs is not service:
            problem = _unlike_what_we_know(theirs)
            if problem:
                return Installation(None, f"{module_name}.{CLASS_NAME} {problem}")
            setattr(module, CLASS_NAME, service)
        return Installation(module_name)
    return Installation(None, f"neither {' nor '.join(MODULES)} has a {CLASS_NAME}")


def _unlike_what_we_know(theirs: object) -> str | None:
    """Return how a class differs from the platform's XQueueService, or None.

    Another form is another release, whose blocks may call the service otherwise.
    """
    if not inspect.isclass(theirs):
        return "is not a class"
    lacking = sorted(MEMBERS - set(dir(theirs)))
    if lacking:
        return f"lacks {', '.join(lacking)}"
    parameters = list(inspect.signature(theirs).parameters)
    if parameters != ["block"]:
        return f"takes ({', '.join(parameters)}), not (block)"
    return None
