"""Which recorder the host has chosen."""

from __future__ import annotations

import pytest

from tests.grader_replies.factories import ScriptedRecorder
from xqueue_bridge.grader_replies.backends.base import get_recorder
from xqueue_bridge.grader_replies.backends.block import BlockRecorder
from xqueue_bridge.grader_replies.backends.callback import CallbackRecorder
from xqueue_bridge.grader_replies.backends.student_module import StateRecorder


@pytest.mark.parametrize(
    ("name", "recorder"),
    [
        ("state", StateRecorder),
        ("block", BlockRecorder),
        ("callback", CallbackRecorder),
        ("tests.grader_replies.factories.ScriptedRecorder", ScriptedRecorder),
    ],
)
def test_the_setting_chooses(settings, name, recorder):
    settings.XQUEUE_BRIDGE = {"RECORDER": name}
    assert type(get_recorder()) is recorder


def test_the_default(settings):
    settings.XQUEUE_BRIDGE = {}
    assert type(get_recorder()) is StateRecorder


@pytest.mark.parametrize("name", ["stat", "tests.nowhere.Recorder"])
def test_a_wrong_name_is_an_error(settings, name):
    settings.XQUEUE_BRIDGE = {"RECORDER": name}
    with pytest.raises(ImportError):
        get_recorder()
