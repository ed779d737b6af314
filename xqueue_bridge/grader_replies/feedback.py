"""Conversion of a grader's message to markup that is safe on a learner's page. Pure.

``nh3`` first removes unsafe markup, and the result is then written as XML, because capa reads
feedback with an XML parser first and rewrites what that parser refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape

#: Replaces empty feedback, because capa refuses an empty message.
NO_FEEDBACK = '<div class="external-grader-empty"></div>'

#: libxml2 stops at 256 levels; markup nested deeper than this limit is shown as text.
MAX_DEPTH = 100

#: Parsing HTML takes time and memory in proportion to its tags times the elements open at each
#: (a repaired <p> repeats all of them), compares each attribute of a tag with all others, and
#: handles each escaped character by itself.
#: Real feedback stays far below this limit.
MAX_WORK = 500_000
#: What each tag costs beside that.
TAG_WORK = 8

#: Removing an element can leave others in an illegal order, which the next parse repairs.
#: Three parses are enough for all but malicious markup.
MAX_READINGS = 5


#: Escaped characters in one piece of text. nh3 takes time in proportion to their number times the
#: length of the piece, so longer text is given to it in pieces.
MAX_ESCAPES = 500


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


VOID_TAGS = _names("br col hr img wbr")
ALLOWED_TAGS = VOID_TAGS | _names(
    "a abbr article aside b bdi bdo blockquote caption cite code colgroup dd del details dfn "
    "div dl dt em figcaption figure footer h1 h2 h3 h4 h5 h6 header i ins kbd li main mark ol p "
    "pre q s samp section small span strike strong sub summary sup table tbody td tfoot th thead "
    "time tr tt u ul var"
)
#: Elements that are removed together with their content.
EMPTIED_TAGS = _names("iframe noframes noscript script style template title")
#: Elements that are removed, but whose content is kept.
UNWRAPPED_TAGS = _names(
    "applet audio base body button canvas center datalist embed fieldset font form frame "
    "frameset head html input label legend link map math meta nav object optgroup option output "
    "param progress select source svg textarea track video"
)
#: Elements that a parser never nests: void elements, parts of a table, and single elements.
_UNCOUNTED = VOID_TAGS | _names("body colgroup head html tbody td tfoot th thead tr")
_END_OMITTED = _names("dd dt li p")
#: The start of one of these closes an open <p>; its end closes the items and <p> in it.
_BLOCKS = _names(
    "article aside blockquote center dd details div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header li main nav ol p pre section summary ul"
)
#: Start tag -> the open elements with an optional end tag that it ends.
_ENDS: dict[str, frozenset[str]] = {tag: _names("p") for tag in _BLOCKS}
_ENDS |= {"dd": _names("dd dt p"), "dt": _names("dd dt p"), "li": _names("li p")}
ALLOWED_ATTRIBUTES = {
    "*": {"class", "dir", "lang", "title"},
    "a": {"href"},
    "col": {"span"},
    "colgroup": {"span"},
    "details": {"open"},
    "img": {"alt", "height", "src", "width"},
    "ol": {"start"},
    "td": {"colspan", "headers", "rowspan"},
    "th": {"colspan", "headers", "rowspan", "scope"},
}
_SCHEMES = {"href": ("http://", "https://", "mailto:"), "src": ("https://",)}

# Characters that XML does not allow, and the byte order mark, which is invisible and which an
# HTML parser removes only at the beginning.
_DROPPED = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_DOCTYPE = re.compile(r"\s*<!doctype[^<>]*>", re.IGNORECASE)
_KNOWN = "|".join(sorted(ALLOWED_TAGS | EMPTIED_TAGS | UNWRAPPED_TAGS, key=len, reverse=True))
# The possessive quantifiers keep this linear. An incomplete tag is text. Text with many brackets
# that open no element is one match, because each match costs more than many characters.
_TAG_OR_BRACKET = re.compile(
    r"(?:<(?![/a-z])[^<]*+)++"
    rf"|<(/?)({_KNOWN})(?:[\s/](?:[^<>\"']|\"[^\"]*+\"|'[^']*+')*+)?>|<",
    re.IGNORECASE,
)

#: What nh3 writes as an entity, besides the brackets.
_ESCAPED = re.compile("[&\xa0]")
_RAW_TEXT = re.compile("<textarea", re.IGNORECASE)
#: A decimal character reference: at most eight digits say which one it is, or that it is none.
_NUMBER = re.compile("&#0*(?=[0-9])([0-9]{1,8})[0-9]*")

_ATTRIBUTE_END = re.compile(r"[\s/\"']")

# A tag and an attribute as nh3 writes them, and the line end that follows a tag.
_WRITTEN_TAG = re.compile(r'<(/?)([a-z0-9]+)((?:[^<>"]|"[^"]*+")*+)>(\n?)')
_WRITTEN_ATTRIBUTE = re.compile(r'([^\s="]+)="([^"]*+)"')


def make_feedback(text: str) -> str:
    """Return ``text`` as well-formed markup without active content.

    ``<x>result</x>`` is always XML. Plain text is kept, and so is text that resembles a tag but is
    not one (``a < b``, ``list<int>``). The function is idempotent. The result can be empty; use
    ``NO_FEEDBACK`` in that case.
    """
    text = clean_text(text)
    markup = _text_out_of_brackets(text)
    if "<" not in markup:  # no parser is needed
        return escaped(_unescaped(markup))
    for _ in range(MAX_READINGS if _work(markup) <= MAX_WORK else 0):
        again = _as_xml(_sanitised(markup))
        if again is None:
            break
        if again == markup:
            return markup
        markup = again
    return as_text(text)


def as_text(text: str) -> str:
    """Return cleaned text as preformatted text, as markup that is too complex is shown."""
    first = "\n" if text.startswith("\n") else ""  # as in _as_xml
    return f"<pre>{first}{escaped(text)}</pre>"


def tags(markup: str) -> Iterator[re.Match[str]]:
    """Yield the tags of HTML elements: group 1 is "/" of an end tag, group 2 the name."""
    found = _TAG_OR_BRACKET.finditer(_text_out_of_brackets(markup))
    return (tag for tag in found if tag[2])


def clean_text(text: str) -> str:
    """Return ``text`` with LF line ends, without invisible characters and those illegal in XML."""
    return _DROPPED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _text_out_of_brackets(text: str) -> str:
    """Escape each "<" that opens no HTML element; remove comments and a leading doctype."""
    end = text.rfind("-->") + 3  # no comment can end after it, so a later "<!--" is text
    text = _COMMENT.sub("", text[:end]) + text[end:]
    text = _DOCTYPE.sub("", text, count=1) if _DOCTYPE.match(text) else text
    return _TAG_OR_BRACKET.sub(
        lambda found: found[0] if found[2] else found[0].replace("<", "&lt;"), text
    )


def _work(markup: str) -> int:
    """Return an upper estimate of the cost of parsing ``markup``; stop at ``MAX_WORK``."""
    opened: list[str] = []
    work = sum(map(markup.count, "&\xa0"))
    if _RAW_TEXT.search(markup):  # it cannot be given to nh3 in pieces
        work *= max(1, len(markup) // 20_000)
    for found in _TAG_OR_BRACKET.finditer(markup):
        tag = found[2].lower()
        if found[1]:
            _close(opened, tag)
        elif tag not in _UNCOUNTED:
            while opened and opened[-1] in _ENDS.get(tag, ()):
                opened.pop()
            opened.append(tag)
        work += len(opened) + TAG_WORK + len(_ATTRIBUTE_END.findall(found[0])) ** 2 // 1000
        if work > MAX_WORK:
            break
    return work


def _close(opened: list[str], tag: str) -> None:
    last = len(opened) - 1
    if tag in _BLOCKS or tag == "table":
        while last >= 0 and opened[last] in _END_OMITTED and opened[last] != tag:
            last -= 1
    if last >= 0 and opened[last] == tag:
        del opened[last:]


def _sanitised(markup: str) -> str:
    import nh3  # a grader without it checks its replies all the same

    if sum(map(markup.count, "&\xa0")) > MAX_ESCAPES and not _RAW_TEXT.search(markup):
        markup = _in_pieces(markup)
    return nh3.clean(
        markup,
        tags=set(ALLOWED_TAGS),
        clean_content_tags=set(EMPTIED_TAGS),
        attributes=ALLOWED_ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )


def _in_pieces(markup: str) -> str:
    """Insert comments, which nh3 removes, into text with very many escaped characters."""
    pieces: list[str] = []
    end = 0
    for tag in _TAG_OR_BRACKET.finditer(markup):
        pieces += _text_in_pieces(markup[end : tag.start()])
        pieces.append(tag[0])
        end = tag.end()
    return "".join(pieces + _text_in_pieces(markup[end:]))


def _text_in_pieces(text: str) -> list[str]:
    pieces, start = [], 0
    for number, found in enumerate(_ESCAPED.finditer(text), 1):
        if number % MAX_ESCAPES == 0:
            # Before an "&": no reference ends after the next one begins.
            pieces += [text[start : found.start()], "<!---->"]
            start = found.start()
    return [*pieces, text[start:]]


def _attribute(_tag: str, name: str, value: str) -> str | None:
    """Drop relative URLs of links and images, because they would point into the LMS."""
    allowed = _SCHEMES.get(name)
    if allowed and not value.strip().lower().startswith(allowed):
        return None
    return value


def _as_xml(markup: str) -> str | None:
    """Return HTML that nh3 has written as XML, or None if it is nested too deep."""
    parts: list[str] = []
    end = depth = 0
    for tag in _WRITTEN_TAG.finditer(markup):
        slash, name, attributes, line_end = tag.groups()
        if name not in VOID_TAGS:
            depth += -1 if slash else 1
            if depth > MAX_DEPTH:
                return None
        parts.append(f"{markup[end : tag.start()]}<{slash}{name}")
        for attribute, value in sorted(_WRITTEN_ATTRIBUTE.findall(attributes)):
            parts.append(f' {attribute}="{escaped(_unescaped(value), quote=True)}"')
        # An HTML parser skips the first line end in <pre>, so a second one is written.
        is_skipped = name == "pre" and not slash
        parts.append(f"{'/' if name in VOID_TAGS else ''}>{line_end * (1 + is_skipped)}")
        end = tag.end()
    return clean_text("".join(parts) + markup[end:]).replace("&nbsp;", "&#160;")


def _unescaped(markup: str) -> str:
    """Return ``markup`` with characters in place of references. Python reads no longer numbers."""
    return unescape(_NUMBER.sub(r"&#\1", markup))


def escaped(text: str, *, quote: bool = False) -> str:
    """Return text as XML text."""
    return escape(clean_text(text), quote=quote).replace("\xa0", "&#160;")
