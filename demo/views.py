"""The demo's pages: choice of a user, the course, and a problem with its status."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from demo import runtime, users
from demo.attempts import attempts
from demo.course import Problem, course
from demo.progress import Progress, progress
from xqueue_bridge.api import is_crawler

PASSWORDLESS = "django.contrib.auth.backends.ModelBackend"

View = Callable[..., HttpResponse]


def with_problem(view: View) -> View:
    """Pass the problem of the URL to the view, for a logged-in learner."""

    @wraps(view)
    def wrapped(request: HttpRequest, url_name: str) -> HttpResponse:
        try:
            problem = course().by_url_name(url_name)
        except KeyError:
            raise Http404("The course has no such problem.") from None
        return view(request, problem)

    return never_cache(login_required(wrapped))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def choose(request: HttpRequest) -> HttpResponse:
    """Choose a user, without a password: the demo runs on loopback."""
    offered = users.who_may_sign_in()
    if request.method == "POST":
        chosen = {str(person.pk): person for person in offered}.get(request.POST.get("person", ""))
        if chosen is None:
            raise Http404("This user cannot be chosen.")
        login(request, chosen, backend=PASSWORDLESS)
        wanted = request.GET.get("next", "")
        if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
            return redirect(wanted)
        if chosen.username == users.TEAM:
            return redirect("xqueue_bridge:submissions", course().key)
        return redirect("xqueue_bridge:queues" if chosen.is_staff else "home")
    context = {
        "learners": [each for each in offered if each.username.startswith(users.LEARNER)],
        "team": [each for each in offered if each.username == users.TEAM],
        "operators": [each for each in offered if each.is_staff],
        "course": course(),
        "site": f"{request.scheme}://{request.get_host()}",
    }
    return render(request, "demo/choose.html", context)


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Log out."""
    logout(request)
    return redirect("choose")


@never_cache
@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Show the course's problems with the learner's progress."""
    rows = [(problem, progress(request.user.pk, problem)) for problem in course().problems]
    totals = {
        "earned": sum(done.earned for _, done in rows),
        "possible": sum(done.possible for _, done in rows),
    }
    return render(request, "demo/home.html", {"course": course(), "rows": rows, **totals})


@with_problem
@require_http_methods(["GET", "HEAD", "POST"])
def problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    """Show a problem; a POST submits the answer. The page's script requests JSON."""
    block = _block(request, problem)
    if request.method != "POST":
        return render(request, "demo/problem.html", _problem_page(request, problem, block))
    outcome = runtime.submit(block, _answers(request, problem, block))
    if request.accepts("text/html"):
        if not outcome.ok:
            messages.error(request, outcome.message)
        return redirect("problem", problem.url_name)
    return JsonResponse({"ok": outcome.ok, "message": outcome.message})


@with_problem
@require_GET
def status(request: HttpRequest, problem: Problem) -> JsonResponse:
    """Return the changes since the state in ``?seen=``; polled while a grade is missing."""
    now = progress(request.user.pk, problem)
    context = {"problem": problem, "progress": now}
    answer: dict[str, Any] = {"busy": now.busy, "seen": _digest(now)}
    if answer["seen"] != request.GET.get("seen"):
        context["attempts"] = attempts(request.user.pk, problem)
        answer["position"] = render_to_string("demo/_position.html", context)
        answer["attempts"] = render_to_string("demo/_attempts.html", context)
        answer["problem"] = runtime.render(_block(request, problem))
    return JsonResponse(answer)


def _block(request: HttpRequest, problem: Problem) -> Any:
    key = problem.usage_key
    state = runtime.LearnersState(key.context_key, request.user, is_crawler(request))
    return runtime.load_block(request.user.pk, key.context_key, key, state=state)


def _problem_page(request: HttpRequest, problem: Problem, block: Any) -> dict[str, Any]:
    html = runtime.render(block)
    now = progress(request.user.pk, problem)
    number = course().problems.index(problem)
    return {
        "course": course(),
        "problem": problem,
        "problem_html": html,
        "progress": now,
        "seen": _digest(now),
        "attempts": attempts(request.user.pk, problem),
        "number": number + 1,
        "previous": course().problems[number - 1] if number else None,
        "next": next(iter(course().problems[number + 1 :]), None),
    }


def _answers(request: HttpRequest, problem: Problem, block: Any) -> runtime.Answers:
    names = [f"input_{answer_id}" for answer_id in runtime.answer_ids(block)]
    if problem.takes_files:
        return {file.name: file.read() for file in request.FILES.getlist(names[0])}
    # Browsers send CRLF; graders get LF, as the learner typed.
    return [request.POST.get(name, "").replace("\r\n", "\n") for name in names]


def _digest(now: Progress) -> str:
    return hashlib.sha256(repr(now).encode()).hexdigest()[:16]
