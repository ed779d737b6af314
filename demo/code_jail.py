"""Run a problem's ``<script type="loncapa/python">`` in a child process.

The setting ``CODE_JAIL_REST_SERVICE_REMOTE_EXEC`` names this function. The scripts are those of the
demo's course, so the child is not a jail: it keeps their patches of modules out of the web server.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from codejail.safe_exec import SafeExecException, json_safe

SECONDS = 10

CHILD = """
import json, sys
from codejail.safe_exec import json_safe
code, names = json.load(sys.stdin)
exec(code, names)
json.dump(json_safe(names), sys.stdout)
"""


def run_script(request: Mapping[str, Any]) -> tuple[str | None, SafeExecException | None]:
    """Run ``request["code"]`` and update ``request["globals_dict"]`` with the names it defines.

    Returns ``(None, None)``, or the child's error as text and as the exception for capa to raise.
    """
    names = request["globals_dict"]
    try:
        child = subprocess.run(
            [sys.executable, "-I", "-c", CHILD],
            input=json.dumps([request["code"], json_safe(names)]),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        return _failed(f"the script ran for more than {SECONDS} seconds")
    except subprocess.CalledProcessError as exc:
        return _failed(exc.stderr.strip().splitlines()[-1] if exc.stderr else "no output")
    names.update(json.loads(child.stdout))
    return None, None


def _failed(reason: str) -> tuple[str, SafeExecException]:
    return reason, SafeExecException(reason)
