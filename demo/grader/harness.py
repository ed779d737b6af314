"""Run the learner's program with the tests' inputs, inside the sandbox.

sandbox.py reads this file as text and passes it to ``python -c``. Standard input is one JSON object
``{"file", "source", "function", "calls": [[argument, ...], ...], "limits": {...},
"library"}``; each
result is one line of JSON on the descriptor named in argv[1]. The input contains no expected
results, because the learner's program can read it.
"""

import json
import os
import reprlib
import resource
import sys

# Id of the user and group without rights on every Linux.
UNPRIVILEGED = 65534


def drop_root(library):
    """Change from root to the user UNPRIVILEGED; import from ``library``, which it can read."""
    if os.geteuid() != 0:
        return
    os.setgroups([])
    os.setgid(UNPRIVILEGED)
    os.setuid(UNPRIVILEGED)
    if library:
        original = os.path.dirname(os.__file__)
        sys.path[:] = [library, os.path.join(library, "lib-dynload")]
        for module in list(sys.modules.values()):
            if hasattr(module, "__path__"):
                module.__path__ = [path.replace(original, library, 1) for path in module.__path__]


def limit(limits):
    """Set the resource limits of this process and of the learner's program."""
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), tuple(value))


def error_of(error, file):
    """Describe an exception: its class, message, and the line in ``file`` if known."""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return {"error": type(error).__name__, "message": str(message)[:500], "line": line}


def shown(value):
    """Return a short text for any value."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 300
    short.maxlist = short.maxdict = short.maxtuple = short.maxset = 40
    return short.repr(value)[:2000]


def call(function, arguments, file):
    try:
        value = function(*arguments)
        text = shown(value)
    except BaseException as exc:  # also sys.exit() and KeyboardInterrupt: the next call goes on
        return error_of(exc, file)
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return {"unusable": type(value).__name__, "shown": text}
    return {"value": value, "shown": text}


def load(task):
    """Run the learner's program once; return its names, or an error."""
    names = {"__name__": "answer", "__file__": task["file"]}
    try:
        exec(compile(task["source"], task["file"], "exec"), names)
    except BaseException as exc:
        return None, error_of(exc, task["file"])
    function = names.get(task["function"])
    if not callable(function):
        return None, {"missing": task["function"]}
    return function, {"loaded": True}


def main():
    results = os.fdopen(int(sys.argv[1]), "w", buffering=1, encoding="utf-8")
    task = json.load(sys.stdin)
    drop_root(task["library"])
    limit(task["limits"])
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    function, outcome = load(task)
    print(json.dumps(outcome), file=results)
    for arguments in task["calls"] if function else ():
        print(json.dumps(call(function, arguments, task["file"])), file=results)
    sys.stdout.flush()
    # Not exit(): a program may have left threads, or handlers that would run now.
    os._exit(0)


main()
