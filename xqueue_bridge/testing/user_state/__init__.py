"""Contract tests that every user-state client must pass.

Inherit from the two classes in your test module and implement the hooks; see
docs/how-tos/plug_in_a_state_client.rst. ``SGn`` in a docstring is the number of a guarantee.
"""

from __future__ import annotations

from xqueue_bridge.testing.user_state.concurrency import ConcurrentUserStateContract
from xqueue_bridge.testing.user_state.deletes_history import DeletingAndRemembering
from xqueue_bridge.testing.user_state.reads_writes import ReadingAndWriting

__all__ = ["ConcurrentUserStateContract", "UserStateClientContract"]


class UserStateClientContract(ReadingAndWriting, DeletingAndRemembering):
    """One client, one caller at a time. Hooks: ``make_client`` and ``make_user``.

    If your client needs Django's database, mark your class with ``pytest.mark.django_db``.
    """
