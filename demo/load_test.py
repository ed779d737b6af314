"""Submit answers of many learners over HTTP as a browser does, and check the results."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from django.contrib.auth.models import User
from django.core.management.base import OutputWrapper
from django.db import connection

from demo import load_test_grades, runtime
from demo.course import Problem, course
from demo.progress import parts_of
from xqueue_bridge import api
from xqueue_bridge.management.progress import Progress
from xqueue_bridge.models import ReceivedReply, StudentModule, Submission

SAMPLES = Path(__file__).parent / "course" / "samples.json"
PROBLEMS_EACH = 2
#: Learners who submit at the same time.
AT_ONCE = 4
TIMEOUT = (3.05, 30)


@dataclass(frozen=True)
class Answer:
    """One learner's answer to one problem, and the expected result of each part."""

    learner: User
    problem: Problem
    kind: str
    sample: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.learner.username}, {self.problem.url_name}, {self.kind}"


def plan(learners: Sequence[User]) -> list[Answer]:
    """Assign problems to learners, so that each problem gets every kind of answer."""
    samples = json.loads(SAMPLES.read_text(encoding="utf-8"))
    problems = itertools.cycle(course().problems)
    kinds = {name: itertools.cycle(known.items()) for name, known in samples.items()}
    answers = []
    for learner in learners:
        for problem in itertools.islice(problems, PROBLEMS_EACH):
            kind, sample = next(kinds[problem.url_name])
            answers.append(Answer(learner, problem, kind, sample))
    return answers


class Browser:
    """The parts of a browser that are needed: cookies, and filling in a page's form."""

    def __init__(self, url: str, learner: User) -> None:
        self.url = url
        self.learner = learner
        self._session = requests.Session()
        self._post("/choose/", {"person": str(learner.pk)})

    def submit(self, answer: Answer) -> str | None:
        """Submit an answer; return the message if it was rejected, or None."""
        path = f"/problems/{answer.problem.url_name}/"
        page = self._session.get(self.url + path, timeout=TIMEOUT)
        page.raise_for_status()
        # Names of the text areas and file inputs, each once, in the order of the page.
        names = list(dict.fromkeys(re.findall(r'name="(input_[^"]+)"', page.text)))
        fields, files = self._filled_in(answer, names)
        response = self._post(path, fields, files).json()
        return None if response["ok"] else response["message"]

    def _filled_in(self, answer: Answer, names: list[str]) -> tuple[dict, list | None]:
        if "files" in answer.sample:
            files = answer.sample["files"].items()
            return {}, [(names[0], (name, text.encode())) for name, text in files]
        texts = [self._own_version(answer, text) for text in answer.sample["answers"]]
        return dict(zip(names, texts, strict=True)), None

    def _own_version(self, answer: Answer, text: str) -> str:
        if "{shift}" not in text:
            return text
        key = (self.learner.pk, answer.problem.usage_key.context_key, answer.problem.usage_key)
        seed = runtime.random_seed(runtime.load_block(*key))
        return text.replace("{shift}", str(3 + int(random.Random(seed).random() * 20)))

    def _post(self, path: str, fields: Mapping[str, str], files: list | None = None) -> Any:
        if "csrftoken" not in self._session.cookies:
            self._session.get(self.url + path, timeout=TIMEOUT).raise_for_status()
        response = self._session.post(
            self.url + path,
            data=fields,
            files=files,
            headers={
                "X-CSRFToken": self._session.cookies["csrftoken"],
                "Accept": "application/json",
            },
            timeout=TIMEOUT,
        )
        response.raise_for_status()
        return response


class Cohort:
    """Runs all learners and prints the table at the end."""

    def __init__(self, url: str, learners: Sequence[User], wait: float) -> None:
        self.url = url
        self.answers = plan(learners)
        self.wait = wait
        self.problems: list[str] = []

    def run(self) -> int:
        """Submit, wait, check, print the table; return the exit status."""
        started = time.monotonic()
        items = sum(len(answer.problem.points) for answer in self.answers)
        with ThreadPoolExecutor(AT_ONCE) as browsers:
            sending = [
                browsers.submit(self._send, list(group))
                for _, group in itertools.groupby(self.answers, key=lambda a: a.learner.pk)
            ]
            self._watch(items, lambda applied: all(future.done() for future in sending))
        self._watch(items, lambda applied: applied >= Submission.objects.count())
        for future in sending:
            future.result()
        seconds = time.monotonic() - started
        load_test_grades.wait_for_grades(self.wait)
        for answer in self.answers:
            self.problems += [f"{answer}: {problem}" for problem in check(answer)]
        expected = load_test_grades.expected_grades(self.answers)
        found = load_test_grades.stored_grades(list(expected))
        self.problems += load_test_grades.check_grades(expected, found)
        report(self.answers, seconds)
        load_test_grades.report_grades(found)
        for problem in self.problems:
            print(f"UNEXPECTED: {problem}", file=sys.stderr)
        return 1 if self.problems else 0

    def _send(self, answers: Sequence[Answer]) -> None:
        """Submit the answers of each learner in its own thread."""
        try:
            browser = Browser(self.url, answers[0].learner)
            for answer in answers:
                refusal = browser.submit(answer)
                if refusal is not None:
                    self.problems.append(f"{answer}: refused: {refusal}")
        except (requests.RequestException, KeyError, ValueError) as exc:
            self.problems.append(f"{answers[0].learner.username}: {type(exc).__name__}: {exc}")
        finally:
            connection.close()

    def _watch(self, items: int, done: Callable[[int], bool]) -> None:
        """Print the number of applied replies until ``done(number)``, or until the time is over."""
        progress = Progress(OutputWrapper(sys.stderr), items)
        deadline, applied = time.monotonic() + self.wait, 0
        while not done(applied) and time.monotonic() < deadline:
            time.sleep(0.2)
            applied = ReceivedReply.objects.filter(status=ReceivedReply.Status.APPLIED).count()
            progress.update(applied, f"{applied} of {items} answers graded")


def check(answer: Answer) -> Iterator[str]:
    """Yield each difference between an answer's expected result and the database."""
    problem = answer.problem
    key = (answer.learner.pk, problem.usage_key, problem.usage_key.context_key)
    parts = parts_of(problem, api.read_state(*key) or {})
    if any(part.busy for part in parts):
        yield "still waits for its grade"
        return
    scores = [score * problem.worth for score in answer.sample["scores"]]
    if [part.earned for part in parts] != scores:
        yield f"scores {scores} expected, {[part.earned for part in parts]} found"
    if [part.correct for part in parts] != answer.sample["correct"]:
        yield f"correct {answer.sample['correct']} expected, {[p.correct for p in parts]} found"
    if not all(part.feedback.strip() for part in parts):
        yield "a grade without feedback"
    row = StudentModule.objects.filter(
        student_id=answer.learner.pk, module_state_key=problem.usage_key
    ).first()
    expected = (sum(answer.sample["scores"]), sum(problem.points))
    if row is None or (row.grade, row.max_grade) != expected:
        found = None if row is None else (row.grade, row.max_grade)
        yield f"grade {expected} expected, {found} found"
    sent = Submission.objects.filter(user_id=answer.learner.pk, usage_key=problem.usage_key)
    states = sorted(sent.values_list("status", "replies__status"))
    if states != [("answered", "applied")] * len(problem.points):
        yield f"submissions and replies have the states {states}"


def report(answers: Sequence[Answer], seconds: float) -> None:
    """Print the final table from the database."""
    kinds = Counter((answer.problem.url_name, answer.kind) for answer in answers)
    names = list(dict.fromkeys(kind for _, kind in kinds))
    print(f"\n{'problem':<14}{'learners':>9}{'mean grade':>12}{'of':>4}   answers")
    for problem in course().problems:
        grades = StudentModule.objects.filter(module_state_key=problem.usage_key)
        found = [grade or 0 for grade in grades.values_list("grade", flat=True)]
        if not found:
            continue
        name, points = problem.url_name, sum(problem.points)
        given = ", ".join(f"{kinds[name, kind]} {kind}" for kind in names if kinds[name, kind])
        print(f"{name:<14}{len(found):>9}{statistics.fmean(found):>12.2f}{points:>4}   {given}")
    waits = _waits()
    parts = [f"submitted {Submission.objects.count()}", f"graded {len(waits)}"]
    if waits:
        parts += [f"wait p50 {quantile(waits, 0.5):.2f} s", f"p95 {quantile(waits, 0.95):.2f} s"]
    print("\n" + "   ".join([*parts, f"in {seconds:.0f} s"]))


def _waits() -> list[float]:
    """Return the seconds from each submission to its grade in the learner's state, ascending."""
    replies = ReceivedReply.objects.filter(status=ReceivedReply.Status.APPLIED)
    times = replies.values_list("submission__created_at", "applied_at")
    return sorted((applied - created).total_seconds() for created, applied in times)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the ascending values that this share of them does not exceed."""
    return values[max(0, math.ceil(len(values) * share) - 1)]
