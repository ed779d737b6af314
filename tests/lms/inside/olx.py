"""A problem for an external grader, and results for it."""

from __future__ import annotations

import json

OLX = """
<problem>
  <coderesponse queuename="python">
    <textbox rows="10" cols="70" mode="python" points="1"/>
    <codeparam>
      <initial_display>print</initial_display>
      <answer_display>print(42)</answer_display>
      <grader_payload>{"problem": "answer"}</grader_payload>
    </codeparam>
  </coderesponse>
</problem>
"""
RIGHT = json.dumps({"correct": True, "score": 1, "msg": "<p>All tests passed.</p>"})
WRONG = json.dumps({"correct": False, "score": 0, "msg": "<p>Two tests failed.</p>"})
