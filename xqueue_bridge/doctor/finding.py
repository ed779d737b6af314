"""One finding of the doctor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One result; ``advice`` says what to write where, and is empty if all is well."""

    area: str
    text: str
    advice: str = ""
    is_error: bool = False
