import json
from datetime import UTC, datetime
from uuid import uuid4

from xqueue_bridge.api import XQueueInterface, make_xheader, read_score, read_state, save_fields

SITE, QUEUE, ANSWER, POINTS = "https://lms.example.com", "python", "answer", 4


def send_answer(user_id, course_key, usage_key, text):
    """Store a state that waits, and send the answer; return "" or a message for the learner."""
    key, now = uuid4().hex, datetime.now(UTC)
    # The bridge applies a reply only to a state that waits for its queue key.
    waits = {"key": key, "time": f"{now:%Y%m%d%H%M%S}"}
    entry = {"correctness": "incomplete", "npoints": None, "msg": "", "queuestate": waits}
    state = {
        "student_answers": {ANSWER: text},
        "correct_map": {ANSWER: entry},
        "score": {"raw_earned": 0, "raw_possible": POINTS},
    }
    save_fields(user_id, course_key, usage_key, state)
    # The callback URL names course, learner and block; nothing is posted to it.
    url = f"{SITE}/courses/{course_key}/xqueue/{user_id}/{usage_key}/score_update"
    # The grader's author decides what these hold; xqueue-watcher needs "grader" in the payload.
    payload, info = {"grader": "loop/grade.py"}, {"anonymous_student_id": str(user_id)}
    parts = {"grader_payload": json.dumps(payload), "student_info": json.dumps(info)}
    body = {"student_response": text, **parts}
    interface = XQueueInterface(use_submission_service=True)
    error, message = interface.send_to_queue(make_xheader(url, key, QUEUE), json.dumps(body))
    return message if error else ""


def read_grade(user_id, course_key, usage_key):
    """Return (points, maximum, feedback), or None while the answer waits for its grade."""
    state = read_state(user_id, usage_key, course_key)
    entry = state["correct_map"][ANSWER] if state else {}
    if not entry or entry["queuestate"]:
        return None
    score = read_score(user_id, usage_key, course_key)
    return score.earned, score.possible, entry["msg"]
