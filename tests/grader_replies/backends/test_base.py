"""The setting REPLY_BACKEND."""

from __future__ import annotations

import pytest

from tests.grader_replies.factories import ScriptedBackend
from xqueue_bridge.grader_replies.backends.base import get_reply_backend
from xqueue_bridge.grader_replies.backends.block import BlockBackend
from xqueue_bridge.grader_replies.backends.callback import CallbackBackend
from xqueue_bridge.grader_replies.backends.student_module import StudentModuleBackend


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("state", StudentModuleBackend),
        ("block", BlockBackend),
        ("callback", CallbackBackend),
        ("tests.grader_replies.factories.ScriptedBackend", ScriptedBackend),
    ],
)
def test_setting_gives_the_named_backend(settings, name, backend):
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": name}
    assert type(get_reply_backend()) is backend


def test_default_backend_is_state(settings):
    settings.XQUEUE_BRIDGE = {}
    assert type(get_reply_backend()) is StudentModuleBackend


@pytest.mark.parametrize("name", ["stat", "tests.nowhere.ReplyBackend"])
def test_unknown_name_is_an_import_error(settings, name):
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": name}
    with pytest.raises(ImportError):
        get_reply_backend()
