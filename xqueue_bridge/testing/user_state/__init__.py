"""What every user-state client must do, as tests: the way to find out whether yours will serve.

Inherit from the two classes in a test module of yours and fill in the hooks; see
docs/how-tos/plug_in_a_state_client.rst. ``SGn`` in a docstring is a promise's number in our list.
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
