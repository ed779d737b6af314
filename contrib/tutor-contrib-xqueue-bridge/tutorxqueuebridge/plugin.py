"""Configuration, patches and init task of the plugin."""

from __future__ import annotations

from pathlib import Path

from tutor import hooks

DEFAULTS = {
    "VERSION": "0.1.0",
    "PIP_REQUIREMENT": "xqueue-bridge",
    "SETTINGS": {},
    "FILES_DIRECTORY": "/openedx/media-private/xqueue_bridge",
    "SWEEP_INTERVAL": 2,
    "RUN_GATEWAY": False,
}
#: Run by ``tutor local launch`` and ``tutor k8s launch``; errors of the checks stop it.
INIT_LMS = """
./manage.py lms migrate xqueue_bridge
./manage.py lms check --tag xqueue_bridge
"""

hooks.Filters.CONFIG_DEFAULTS.add_items(
    [(f"XQUEUE_BRIDGE_{name}", value) for name, value in DEFAULTS.items()]
)
hooks.Filters.CLI_DO_INIT_TASKS.add_item(("lms", INIT_LMS))
for path in sorted((Path(__file__).parent / "patches").iterdir()):
    hooks.Filters.ENV_PATCHES.add_item((path.name, path.read_text(encoding="utf-8")))
