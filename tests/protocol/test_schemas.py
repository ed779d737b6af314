"""The published schemas say what the server accepts and sends."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tests.submission_queue.factories import make_grader, new_submission, upload
from xqueue_bridge.exceptions import InvalidReply
from xqueue_bridge.grader import Result, Test
from xqueue_bridge.grader_api.urls import ENDPOINTS
from xqueue_bridge.grader_replies.parsing import parse_reply
from xqueue_bridge.protocol.schemas import openapi, schema
from xqueue_bridge.submission_queue import api as submission_queue

RESULT = Draft202012Validator(schema("result-1"))
SUBMISSION = Draft202012Validator(schema("submission-1"))

values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, 1, 1.0, 10**400, "true", "FALSE", "True ", "yes", "", "1"])
    | st.text(max_size=5)
    | st.lists(st.integers(), max_size=1)
    | st.dictionaries(st.text(max_size=2), st.integers(), max_size=1)
)
members = st.fixed_dictionaries({}, optional={"correct": values, "score": values, "msg": values})


@given(members | values)
def test_schema_accepts_what_the_server_accepts(value):
    """C12: one contract, written once as a schema and once as a parser."""
    try:
        parse_reply(json.dumps(value))
        accepted = True
    except InvalidReply:
        accepted = False
    assert RESULT.is_valid(value) == accepted


def test_results_of_the_library_are_valid():
    result = Result.of_tests([Test(name="a", score=1, visible=False)], staff_note="seed 7")
    assert list(RESULT.iter_errors(result.to_reply())) == []


@pytest.mark.django_db
def test_pulled_submission_is_valid():
    submission_queue.enqueue(new_submission(files=(upload("a.py"),)))
    response = make_grader().ask("get_submission", queue_name="python")
    content = json.loads(response["content"])
    assert list(SUBMISSION.iter_errors(content)) == []
    for name, part in schema("submission-1")["properties"].items():
        inner = Draft202012Validator(part["contentSchema"])
        assert list(inner.iter_errors(json.loads(content[name]))) == []


def test_openapi_document_is_valid_and_complete():
    document = openapi()
    validate(document)
    described = {re.sub(r"^/xqueue/|/$", "", path) for path in document["paths"]}
    assert described == set(ENDPOINTS)


@pytest.mark.django_db
def test_openapi_document_is_served_without_a_session(client):
    response = client.get("/xqueue/openapi.json")
    assert response.status_code == 200
    assert response.json() == openapi()
    assert client.post("/xqueue/openapi.json").status_code == 405


@pytest.mark.django_db
def test_envelopes_are_as_described(client):
    """Each answer of each endpoint fits one of the alternatives that the document gives."""
    submission_queue.enqueue(new_submission())
    grader = make_grader().http
    for path, operations in openapi()["paths"].items():
        for method, operation in operations.items():
            for session in (client, grader):
                response = getattr(session, method)(path, {"queue_name": "python"})
                described = operation["responses"][str(response.status_code)]
                if response.status_code == 200:
                    schema = described["content"]["application/json"]["schema"]
                    whole = {**schema, "components": openapi()["components"]}
                    assert list(Draft202012Validator(whole).iter_errors(response.json())) == []
