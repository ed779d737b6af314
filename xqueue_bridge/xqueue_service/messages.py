"""Plain-text messages that a learner sees when a submission was not sent.

Blocks put these messages into a page without escaping them. The first group are the protocol's
own texts, which operators know and search for.
"""

import re

NO_CONNECTION = "cannot connect to server"
NO_ANSWER = "failed to read from the server"
ODD_STATUS = "unexpected HTTP status code [{}]"
ODD_REPLY = "unexpected reply from server"
QUEUE_NOT_FOUND = "Queue '{}' not found"

NO_SERVER = "no grading server is set up for this course"
NO_LEARNER = "only a learner who is signed in can send an answer"
NOT_STORED = "the answer could not be stored"
NOT_CHARGED = "Your answer was not sent to the grader ({}). Your attempts are unchanged; try again."

_LONGEST = 200
#: The URL search is quadratic in the length of a word, and a server may send words of any length.
_LOOKED_AT = 2_000
_ADDRESS = re.compile(r"\S*://\S*")


def harmless(text: str) -> str:
    """Return foreign text as one short line without markup, URLs or control characters."""
    plain = "".join(
        character if character.isprintable() and character not in "<>&" else " "
        for character in _ADDRESS.sub(" ", text[:_LOOKED_AT])
    )
    return " ".join(plain.split())[:_LONGEST]
