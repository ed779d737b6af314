"""The runtime services of the problem block, except ``xqueue``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from django.core.cache import cache
from django.utils import translation
from django.utils.crypto import salted_hmac
from xblock.reference.user_service import UserService, XBlockUser


class DemoUserService(UserService):
    """Returns the learner's anonymous id, without name and e-mail."""

    def __init__(self, user_id: int) -> None:
        super().__init__()
        self._user_id = user_id

    def get_current_user(self) -> XBlockUser:
        user = XBlockUser(is_current_user=True)
        user.opt_attrs.update(
            {
                "edx-platform.user_id": self._user_id,
                "edx-platform.deprecated_anonymous_user_id": anonymous_id(self._user_id),
                "edx-platform.user_is_staff": False,
            }
        )
        return user


class Sandbox:
    """Service ``sandbox``: scripts always run in another process, see ``demo.code_jail``."""

    def can_execute_unsafe_code(self) -> bool:
        return False

    def get_python_lib_zip(self) -> None:
        return None


class ReplaceUrls:
    """Service ``replace_urls``: the demo's course has no static assets."""

    def replace_urls(self, text: str, static_replace_only: bool = False) -> str:
        return text


def anonymous_id(user_id: int) -> str:
    """Return a learner's anonymous id for graders: 32 hexadecimal digits."""
    return salted_hmac("demo.anonymous_id", str(user_id), algorithm="md5").hexdigest()


def services_for(user_id: int) -> dict[str, Any]:
    """Return the services of one learner's runtime.

    As in the LMS, a callable service is called with the block.
    """
    from xqueue_bridge import XQueueService

    return {
        "user": DemoUserService(user_id),
        "i18n": SimpleNamespace(gettext=translation.gettext, ngettext=translation.ngettext),
        "cache": cache,
        "sandbox": Sandbox(),
        "replace_urls": ReplaceUrls(),
        "xqueue": XQueueService,
    }
