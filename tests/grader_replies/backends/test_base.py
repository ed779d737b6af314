"""Which backend the host has chosen."""

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
def test_the_setting_chooses(settings, name, backend):
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": name}
    assert type(get_reply_backend()) is backend


def test_the_default(settings):
    settings.XQUEUE_BRIDGE = {}
    assert type(get_reply_backend()) is StudentModuleBackend


@pytest.mark.parametrize("name", ["stat", "tests.nowhere.ReplyBackend"])
def test_a_wrong_name_is_an_error(settings, name):
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": name}
    with pytest.raises(ImportError):
        get_reply_backend()
