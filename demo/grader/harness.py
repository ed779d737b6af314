"""What runs in the sandbox: the learner's program, called with the tests' inputs.

Read as text by sandbox.py and given to ``python -c``. Standard input holds one JSON object
``{"file", "source", "function", "calls": [[argument, ...], ...], "limits": {...},
"library"}``; each
result is one line of JSON on the descriptor named in argv[1]. What was expected never comes
here: the program can read all that this process can.
"""

import json
import os
import reprlib
import resource
import sys

# The user and group called nobody on every Linux.
NOBODY = 65534


def become_nobody(library):
    """Drop root, if we have it; then import from ``library``, a copy that nobody can read."""
    if os.geteuid() != 0:
        return
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    if library:
        original = os.path.dirname(os.__file__)
        sys.path[:] = [library, os.path.join(library, "lib-dynload")]
        for module in list(sys.modules.values()):
            if hasattr(module, "__path__"):
                module.__path__ = [path.replace(original, library, 1) for path in module.__path__]


def limit(limits):
    """Give this process, and so the learner's program, its last limits."""
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), tuple(value))


def said(error, file):
    """Describe what a program raised: its class, words, and the line of ``file`` if known."""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    words = error.msg if isinstance(error, SyntaxError) else str(error)
    return {"error": type(error).__name__, "words": str(words)[:500], "line": line}


def shown(value):
    """Return a short text for a value, whatever it is."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 300
    short.maxlist = short.maxdict = short.maxtuple = short.maxset = 40
    return short.repr(value)[:2000]


def call(function, arguments, file):
    try:
        value = function(*arguments)
        text = shown(value)
    except BaseException as exc:  # also sys.exit() and KeyboardInterrupt: the next call goes on
        return said(exc, file)
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return {"unusable": type(value).__name__, "shown": text}
    return {"value": value, "shown": text}


def load(task):
    """Run the learner's program once; return its names, or what went wrong."""
    names = {"__name__": "answer", "__file__": task["file"]}
    try:
        exec(compile(task["source"], task["file"], "exec"), names)
    except BaseException as exc:
        return None, said(exc, task["file"])
    function = names.get(task["function"])
    if not callable(function):
        return None, {"missing": task["function"]}
    return function, {"loaded": True}


def main():
    results = os.fdopen(int(sys.argv[1]), "w", buffering=1, encoding="utf-8")
    task = json.load(sys.stdin)
    become_nobody(task["library"])
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
