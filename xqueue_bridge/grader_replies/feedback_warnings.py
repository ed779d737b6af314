"""What sanitising took out of a grader's feedback, by kind. Pure.

Elements and attributes are counted before and after.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from xqueue_bridge.grader_replies import feedback as sanitising
from xqueue_bridge.protocol.codes import Code
from xqueue_bridge.protocol.reply_warnings import ReplyWarning

#: Names of elements and attributes that a warning lists, the most frequent first.
MAX_NAMES = 20
_ATTRIBUTE = re.compile(r"""([a-z][a-z-]{0,29})\s*=\s*(?:"[^"]*+"|'[^']*+'|[^\s"'>]++)""", re.I)
#: Attributes whose removal has a code of its own.
_OF_ATTRIBUTE = {
    "style": Code.STYLES_REMOVED,
    "href": Code.LINKS_REMOVED,
    "src": Code.IMAGES_REMOVED,
}
_OF_TAG = {"style": Code.STYLES_REMOVED, "math": Code.MATH_REMOVED}


def feedback_warnings(before: str, after: str) -> list[ReplyWarning]:
    """Return a warning for each kind of change from ``before`` to the sanitised ``after``."""
    cleaned = sanitising.clean_text(before)
    warnings = []
    dropped = len(before.replace("\r\n", "\n")) - len(cleaned)
    if dropped:
        warnings.append(ReplyWarning(Code.CHARACTERS_REMOVED, "msg", {"count": dropped}))
    if "<" not in cleaned:
        return warnings
    if after == sanitising.as_text(cleaned) and any(_names(cleaned)):
        return [*warnings, ReplyWarning(Code.MARKUP_SHOWN_AS_TEXT, "msg")]
    former, latter = Counter(_names(cleaned)), Counter(_names(after))
    removed: dict[Code, Counter[str]] = {}
    for (kind, name), count in (former - latter).items():
        code = (
            _OF_TAG.get(name, Code.MARKUP_REMOVED)
            if kind == "element"
            else _OF_ATTRIBUTE.get(name, Code.ATTRIBUTES_REMOVED)
        )
        removed.setdefault(code, Counter())[name] += count
    for code, names in removed.items():
        warnings.append(ReplyWarning(code, "msg", dict(names.most_common(MAX_NAMES))))
    return warnings


def _names(markup: str) -> Iterator[tuple[str, str]]:
    """Yield the elements that begin in ``markup``, and the attributes of those that are allowed."""
    for tag in sanitising.tags(markup):
        name = tag[2].lower()
        if tag[1]:
            continue
        yield "element", name
        if name in sanitising.ALLOWED_TAGS:
            attributes = {found[1].lower() for found in _ATTRIBUTE.finditer(tag[0])}
            yield from (("attribute", each) for each in attributes)
