"""The demo's pages, without JavaScript and as requested by the page's script."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from demo import run
from demo.course import course
from demo.users import OPERATOR, TEAM, create
from tests.demo.conftest import SAMPLES, answer, sample, submit
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.models import CrawlersConfig, StudentModule
from xqueue_bridge.submission_queue.models import Submission

JSON = {"accept": "application/json"}


def problem_form(url_name: str, kind: str = "right") -> dict[str, object]:
    found = sample(url_name, kind)
    if isinstance(found, dict):
        ((name, content),) = found.items()
        return {f"input_{url_name}_2_1": SimpleUploadedFile(name, content)}
    return {f"input_{url_name}_{number}_1": text for number, text in enumerate(found, 2)}


def test_users_are_created_once(learner) -> None:
    assert [person.username for person in create(3)] == ["learner-01", "learner-02", "learner-03"]
    assert create(2)[0].pk == learner.pk
    assert User.objects.count() == 5
    assert not any(person.has_usable_password() for person in User.objects.all())


def test_front_page_needs_no_password(browse) -> None:
    client = browse(None)
    for path in ("/", "/problems/fizzbuzz/", "/problems/fizzbuzz/status"):
        response = client.get(path)
        assert (response.status_code, response.url) == (302, f"/choose/?next={path}")
    assert b"there are no passwords" in client.get("/choose/").content


def test_choosing_a_learner_leads_to_the_course(browse, learner) -> None:
    client = browse(None)
    assert client.post("/choose/", {"person": learner.pk}).url == "/"
    assert learner.get_full_name() in client.get("/").content.decode()
    assert client.post("/leave/").url == "/choose/"
    assert client.get("/").status_code == 302


def test_choosing_the_operator_leads_to_the_queues(browse) -> None:
    operator = User.objects.get(username=OPERATOR)
    client = browse(None)
    assert client.post("/choose/", {"person": operator.pk}).url == "/xqueue/queues/"
    assert client.get("/xqueue/queues/").status_code == 200


def test_addresses_that_the_demo_prints_are_pages(browse, capsys) -> None:
    client = browse(User.objects.get(username=OPERATOR))
    run.print_addresses("http://demo.example")
    paths = re.findall(r"http://demo\.example(/\S*)", capsys.readouterr().out)
    assert {path: client.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)
    assert len(paths) == 4


@pytest.mark.parametrize(
    ("username", "pages"),
    [
        ("learner-01", ["my/", "progress/"]),
        (TEAM, ["submissions/", "problems/", "regrades/", "stuck/"]),
        (OPERATOR, ["queues/", "gradebook/"]),
    ],
)
def test_each_kind_of_user_finds_the_own_pages_on_every_page(browse, username, pages) -> None:
    client = browse(User.objects.get(username=username))
    for path in ("/", "/problems/fizzbuzz/"):
        links = re.search(r"<nav class=\"who\".*?</nav>", client.get(path).text, re.DOTALL)[0]
        found = re.findall(r'href="(/xqueue/[^"]*)"', links)
        assert [each for each in pages if not any(link.endswith(each) for link in found)] == []
        assert {client.get(link).status_code for link in found} == {200}


def test_operators_page_responds_403_to_a_learner(browse, learner) -> None:
    """The 403 page is the site's own; after choosing the operator the page is shown."""
    response = browse(learner).get("/xqueue/queues/?partial=table")
    assert response.status_code == 403
    way_out = re.search(r'href="(/choose/[^"]*)"', response.text)[1]
    operator = User.objects.get(username=OPERATOR)
    chosen = browse(learner).post(way_out, {"person": operator.pk})
    assert chosen.url == "/xqueue/queues/?partial=table"


def test_operator_may_use_the_bridges_tables_in_the_admin(browse) -> None:
    operator = User.objects.get(username=OPERATOR)
    page = browse(operator).get("/admin/").content.decode()
    for name in ("Submissions", "Received replies", "Transport overrides", "Graders"):
        assert name in page
    assert "Groups" not in page


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [("/xqueue/queues/?a=b", "/xqueue/queues/?a=b"), ("https://example.com/", "/"), ("//x", "/")],
)
def test_choosing_redirects_to_the_requested_page(
    browse, learner, wanted: str, reached: str
) -> None:
    client = browse(None)
    query = urlencode({"next": wanted})
    assert client.post(f"/choose/?{query}", {"person": learner.pk}).url == reached


@pytest.mark.parametrize("person", ["", "0", "unknown", "1 OR 1"])
def test_unknown_user_cannot_be_chosen(browse, person: str) -> None:
    admin = User.objects.create_superuser("admin", password="long and secret")
    client = browse(None)
    assert client.post("/choose/", {"person": person}).status_code == 404
    assert client.post("/choose/", {"person": admin.pk}).status_code == 404


def test_course_page_shows_the_stage_of_each_problem(browse, learner) -> None:
    submit(learner, "triangle")
    answer(Submission.objects.get(), score=3)
    submit(learner, "fizzbuzz")
    page = browse(learner).get("/").content.decode()
    assert "3 of 4" in page
    assert "waiting" in page
    assert page.count("not answered") == 4
    assert "<strong>3</strong> of 16 points" in page


@pytest.mark.parametrize("url_name", list(SAMPLES))
def test_every_problem_can_be_answered_without_scripts(browse, learner, url_name: str) -> None:
    client = browse(learner)
    assert client.get(f"/problems/{url_name}/").status_code == 200
    response = client.post(f"/problems/{url_name}/", problem_form(url_name), follow=True)
    assert response.redirect_chain == [(f"/problems/{url_name}/", 302)]
    assert "Waiting for a grader" in response.content.decode()
    assert Submission.objects.count() == len(SAMPLES[url_name]["right"]["scores"])


def test_rejection_is_shown_without_scripts(browse, learner) -> None:
    response = browse(learner).post("/problems/wordcount/", {}, follow=True)
    assert "Choose a file to hand in first." in response.content.decode()


def test_script_gets_json(browse, learner) -> None:
    client = browse(learner)
    sent = client.post("/problems/fizzbuzz/", problem_form("fizzbuzz"), headers=JSON)
    assert sent.json() == {"ok": True, "message": ""}
    again = client.post("/problems/fizzbuzz/", problem_form("fizzbuzz"), headers=JSON)
    assert again.json()["ok"] is False
    assert "You must wait" in again.json()["message"]


def test_line_ends_are_sent_as_the_learner_typed(browse, learner) -> None:
    client = browse(learner)
    client.post("/problems/fizzbuzz/", {"input_fizzbuzz_2_1": "a = 1\r\nb = 2\r\n"})
    assert r'"student_response": "a = 1\nb = 2\n"' in Submission.objects.get().content.body


def test_status_contains_changes_only(browse, learner) -> None:
    client = browse(learner)
    submit(learner, "fizzbuzz")
    first = client.get("/problems/fizzbuzz/status").json()
    assert first["busy"] is True
    assert "You are next in the queue." in first["position"]
    second = client.get("/problems/fizzbuzz/status", {"seen": first["seen"]}).json()
    assert second == {"busy": True, "seen": first["seen"]}
    answer(Submission.objects.get(), score=1, msg="<p>Well counted.</p>")
    third = client.get("/problems/fizzbuzz/status", {"seen": first["seen"]}).json()
    assert third["busy"] is False
    assert "2 of 2 points" in third["position"]
    assert "Well counted." in third["attempts"]
    assert "Well counted." in third["problem"]


def test_number_of_statements_of_an_unchanged_status(
    browse, learner, django_assert_num_queries
) -> None:
    client = browse(learner)
    submit(learner, "fizzbuzz")
    seen = client.get("/problems/fizzbuzz/status").json()["seen"]
    # Session, user, state, the learner's submissions, the position in the queue; graders, their
    # pauses and, because no grader was seen, leases; paused queues.
    with django_assert_num_queries(9):
        client.get("/problems/fizzbuzz/status", {"seen": seen})


def test_learner_does_not_see_another_learners_answer(browse, learner) -> None:
    submit(learner, "fizzbuzz")
    other = create(2)[1]
    page = browse(other).get("/problems/fizzbuzz/").content.decode()
    assert "Not answered yet" in page
    assert "Attempt 1" not in page


def test_feedback_is_shown_as_sanitised(browse, learner) -> None:
    submit(learner, "fizzbuzz")
    answer(Submission.objects.get(), score=0, msg='<p onclick="x()">No.</p><script>x()</script>')
    page = browse(learner).get("/problems/fizzbuzz/").content.decode()
    assert "<p>No.</p>" in page
    assert "onclick" not in page
    assert "x()" not in page


def test_answer_is_escaped_on_the_page(browse, learner) -> None:
    client = browse(learner)
    client.post("/problems/fizzbuzz/", {"input_fizzbuzz_2_1": "</textarea></code><b id=out>"})
    page = client.get("/problems/fizzbuzz/").content.decode()
    assert "<b id=out>" not in page
    assert page.count("&lt;b id=out&gt;") == 2


@pytest.mark.parametrize("path", ["/problems/nowhere/", "/problems/nowhere/status"])
def test_unknown_problem_responds_404(browse, learner, path: str) -> None:
    assert browse(learner).get(path).status_code == 404


@pytest.mark.parametrize(
    ("path", "method"), [("/", "post"), ("/leave/", "get"), ("/problems/fizzbuzz/status", "post")]
)
def test_other_methods_respond_405(browse, learner, path: str, method: str) -> None:
    assert getattr(browse(learner), method)(path).status_code == 405


def test_learners_page_links_to_the_progress(browse, learner) -> None:
    client = browse(learner)
    address = f"/xqueue/grades/{course().key}/progress/"
    assert f'href="{address}"' in client.get("/").content.decode()
    page = client.get(address).content.decode()
    assert "Homework 1 - Warm-up - 0% (0/6)" in page
    assert "Project, does not count" not in page


def test_operators_page_links_to_the_gradebook(browse, learner) -> None:
    operator = User.objects.get(username=OPERATOR)
    client = browse(operator)
    address = f"/xqueue/grades/{course().key}/gradebook/"
    assert f'href="{address}"' in client.get("/").content.decode()
    assert "Gradebook" in client.get(address).content.decode()


def test_pages_are_never_stored_by_the_browser(browse, learner) -> None:
    for path in ("/", "/problems/fizzbuzz/", "/problems/fizzbuzz/status"):
        assert "no-store" in browse(learner).get(path).headers["Cache-Control"]


def test_get_of_a_graded_problem_writes_nothing(browse, learner) -> None:
    submit(learner, "fizzbuzz")
    answer(Submission.objects.get(), score=1)
    key = Submission.objects.get().usage_key
    before = learner_state.read_state(learner.pk, key, key.context_key)
    browse(learner).get("/problems/fizzbuzz/")
    assert learner_state.read_state(learner.pk, key, key.context_key) == before


def test_crawler_gets_the_same_page(browse, learner) -> None:
    """SG36: with a crawler's User-Agent the page is the same, and nothing is stored."""
    CrawlersConfig(enabled=True).save()
    pages = []
    for agent in ("edX-downloader/0.5", "Mozilla/5.0"):
        assert not StudentModule.objects.exists()
        client = browse(learner)
        page = client.get("/problems/fizzbuzz/", headers={"user-agent": agent}).text
        pages.append(re.sub(r'value="\w{64}"', "the CSRF token", page))
    assert pages[0] == pages[1]
    assert StudentModule.objects.exists()
