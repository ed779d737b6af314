"""Extract the translatable messages of the package, update its catalogues, and compile them.

``make messages`` runs it. A catalogue is ``xqueue_bridge/locale/<language>/LC_MESSAGES/django.po``
with the compiled ``django.mo`` beside it. German is translated by hand; ``en_XA`` is a
pseudo-language for tests, whose texts are the English ones with accents and in brackets: a text
that a page shows without them does not go through gettext. Needs Babel, and no GNU gettext.
"""

from __future__ import annotations

import gettext
import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "xqueue_bridge"
LOCALE = PACKAGE / "locale"
TRANSLATED = ("de",)
PSEUDO = "en_XA"
LANGUAGES = (*TRANSLATED, PSEUDO)

#: Name of a gettext function -> the positions of its message, plural and context.
KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
HEADER = "# Messages of xqueue_bridge. Written by tools/messages.py, except for the translations."
#: Written into every catalogue, so that an unchanged catalogue is an unchanged file.
CREATED = datetime(2026, 1, 1, tzinfo=UTC)

#: What a translation must not change: placeholders, entities and tags.
FIXED = re.compile(r"%\(\w+\)[sd]|%%|\{[^{}]*\}|&\w+;|<[^>]+>")
ACCENTS = str.maketrans("aceinosuyACEINOSUYdDgrRtTlL", "áçéîñöšüýÁÇÉÎÑÖŠÜÝďĎğřŘťŤľĽ")


def template_catalog() -> Catalog:
    """Return the messages of the package's Python files and templates, without translations."""
    catalog = Catalog(project="xqueue_bridge", creation_date=CREATED, fuzzy=False)
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix not in (".py", ".html") or "migrations" in path.parts:
            continue
        source = path.read_text(encoding="utf-8")
        if path.suffix == ".html":
            # Django's own makemessages does the same: the calls are left, all else is blanked.
            source = re.sub(r"^[ \t]+", "", templatize(source, origin=str(path)), flags=re.M)
        found = extract("python", io.BytesIO(source.encode()), KEYWORDS)
        for _, message, _, context in found:
            catalog.add(message, locations=[(str(path.relative_to(ROOT)), 0)], context=context)
    return catalog


def pseudo_text(text: str) -> str:
    """Return the text with accents and in brackets; placeholders, entities and tags are kept."""
    kept = FIXED.findall(text)
    parts = [part.translate(ACCENTS) for part in FIXED.split(text)]
    return "[" + "".join(map("".join, zip(parts, [*kept, ""], strict=True))) + "]"


def updated_catalog(language: str, template: Catalog) -> Catalog:
    """Return the stored catalogue of a language, with exactly the template's messages."""
    path = po_path(language)
    stored = read_catalog(language) if path.exists() else Catalog(locale=language)
    catalog = Catalog(
        locale=language,
        project="xqueue_bridge",
        creation_date=CREATED,
        revision_date=CREATED,
        last_translator="the xqueue_bridge developers",
        language_team=language,
        header_comment=HEADER,
        msgid_bugs_address="",
        fuzzy=False,
    )
    for message in template:
        if not message.id:
            continue
        known = stored.get(message.id, message.context)
        text = known.string if known else ""
        if language == PSEUDO:
            text = _pseudo(message)
        catalog.add(message.id, text, message.locations, context=message.context)
    return catalog


def _pseudo(message: Message) -> str | tuple[str, ...]:
    if isinstance(message.id, str):
        return pseudo_text(message.id)
    return tuple(map(pseudo_text, message.id))


def po_path(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "django.po"


def read_catalog(language: str) -> Catalog:
    with po_path(language).open("rb") as file:
        return read_po(file, locale=language)


def problems() -> Iterator[str]:
    """Yield what is wrong with the stored catalogues."""
    template = template_catalog()
    wanted = {(message.id, message.context) for message in template if message.id}
    for language in LANGUAGES:
        catalog = read_catalog(language)
        stored = {(message.id, message.context) for message in catalog if message.id}
        for message_id, _ in sorted(wanted - stored, key=str):
            yield f"{language}: {message_id!r} is missing: run make messages"
        for message_id, _ in sorted(stored - wanted, key=str):
            yield f"{language}: {message_id!r} is not used: run make messages"
        for message in catalog:
            if message.id and not all(_texts(message)):
                yield f"{language}: {message.id!r} is not translated"
            if sorted(_placeholders(message.id)) != sorted(_placeholders(message.string)):
                yield f"{language}: {message.id!r} has other placeholders in the translation"
        if _compiled(catalog) != _entries(po_path(language).with_suffix(".mo").read_bytes()):
            yield f"{language}: django.mo is not compiled from django.po: run make messages"


def _texts(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)


def _placeholders(text: object) -> set[str]:
    return set(FIXED.findall(text if isinstance(text, str) else " ".join(map(str, text))))


def _compiled(catalog: Catalog) -> dict[object, str]:
    file = io.BytesIO()
    write_mo(file, catalog)
    return _entries(file.getvalue())


def _entries(compiled: bytes) -> dict[object, str]:
    entries = dict(gettext.GNUTranslations(io.BytesIO(compiled))._catalog)
    entries.pop("", None)  # the header names Babel's version
    return entries


def main() -> int:
    """Write all catalogues; print what is wrong with them."""
    settings.configure()  # templatize reads the settings
    template = template_catalog()
    for language in LANGUAGES:
        catalog = updated_catalog(language, template)
        path = po_path(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            write_po(file, catalog, width=100, include_lineno=False, sort_output=True)
        with path.with_suffix(".mo").open("wb") as file:
            write_mo(file, catalog)
    found = list(problems())
    print("\n".join(found) or f"{len(template)} messages in {', '.join(LANGUAGES)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
