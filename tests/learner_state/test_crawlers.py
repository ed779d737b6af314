"""Detection of crawlers, and requests of graders, which never count as crawlers."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from django.core.cache import cache
from django.test import RequestFactory
from django.urls import resolve
from hypothesis import example, given
from hypothesis import strategies as st

from tests.grader_replies.factories import BLOCK, COURSE, GOOD, make_learner, make_state
from xqueue_bridge import api
from xqueue_bridge.learner_state.crawlers import CrawlersConfig, is_crawler

pytestmark = pytest.mark.django_db

CRAWLER = "edX-downloader/0.5 (Python)"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"


def request(agent=None, path="/"):
    headers = {} if agent is None else {"HTTP_USER_AGENT": agent}
    return RequestFactory().get(path, **headers)


def configure(agents="edX-downloader", enabled=True):
    CrawlersConfig.objects.create(known_user_agents=agents, enabled=enabled)


def test_agent_that_begins_with_a_listed_name_is_a_crawler():
    """SG36: find a crawler by the beginning of its agent, and no browser."""
    configure()
    assert is_crawler(request(CRAWLER))
    assert not is_crawler(request(BROWSER))


@pytest.mark.parametrize(
    "agents", ["", " ", ",", "edX-downloader,", ",edX-downloader", "a, ,b", "\n,\t", ",,,"]
)
@pytest.mark.parametrize("agent", [BROWSER, "", None])
def test_blank_entries_match_no_agent(agents, agent):
    """SG37: ignore blank lists, commas at the end and blanks between commas."""
    configure(agents)
    assert not is_crawler(request(agent))


@pytest.mark.parametrize(
    "agents", ["edX-downloader,", " edX-downloader ,x", "wget,  edX-downloader", "a,\r\nedX-down"]
)
def test_listed_agent_matches_with_blanks_or_commas_around_it(agents):
    """SG37: ignore the blanks around an entry."""
    configure(agents)
    assert is_crawler(request(CRAWLER))


def test_agent_that_differs_in_case_or_beginning_is_no_crawler():
    """SG37: compare exactly, and with the beginning of the agent."""
    configure()
    assert not is_crawler(request("edx-Downloader/0.5"))
    assert not is_crawler(request(f"Mozilla/5.0 {CRAWLER}"))
    assert not is_crawler(request("edX-down"))


@given(st.lists(st.text(alphabet="ab ,\t\n"), max_size=4), st.text(alphabet="abc"))
@example([""], "")
def test_crawlers_of_random_lists_begin_with_an_entry(entries, agent):
    """SG37: match exactly the agents that begin with an entry that is not blank."""
    config = CrawlersConfig(known_user_agents=",".join(entries))
    expected = any(
        agent.startswith(entry.strip()) for entry in ",".join(entries).split(",") if entry.strip()
    )
    assert agent.startswith(config.agents) is expected


def test_no_agent_is_a_crawler_unless_the_list_is_enabled():
    assert not is_crawler(request(CRAWLER))
    configure(enabled=False)
    assert not is_crawler(request(CRAWLER))


def test_second_configuration_replaces_the_first():
    configure("wget")
    configure("curl")
    assert CrawlersConfig.objects.get().agents == ("curl",)


def test_changed_or_deleted_list_applies_at_once():
    configure()
    assert is_crawler(request(CRAWLER))
    config = CrawlersConfig.objects.get()
    config.known_user_agents = "wget"
    config.save()
    assert not is_crawler(request(CRAWLER))
    assert is_crawler(request("wget/1.21"))
    config.delete()
    assert not is_crawler(request("wget/1.21"))


def test_list_changed_by_another_process_applies_within_a_minute(django_assert_num_queries):
    """Read the row once a minute, whether it exists or not."""
    with django_assert_num_queries(1):
        for _ in range(5):
            assert not is_crawler(request(CRAWLER))
    assert CrawlersConfig.CACHE_SECONDS == 60
    configure()
    CrawlersConfig.objects.update(enabled=False)  # by a process with another cache
    with django_assert_num_queries(1):
        for _ in range(5):
            assert not is_crawler(request(CRAWLER))
    CrawlersConfig.objects.update(enabled=True)
    cache.delete(CrawlersConfig.CACHE_KEY)  # the minute is over
    assert is_crawler(request(CRAWLER))


def every_request(request):
    return True


def test_crawler_detector_setting_replaces_the_list(settings):
    settings.XQUEUE_BRIDGE = {"CRAWLER_DETECTOR": f"{__name__}.every_request"}
    assert is_crawler(request(BROWSER))


@pytest.mark.django_db(transaction=True)
def test_result_posted_by_a_crawler_is_applied(client):
    """SG38: apply the score of a callback whose agent is that of a crawler."""
    configure()
    learner = make_learner()
    make_state(learner)
    header = json.dumps({"lms_callback_url": "x", "lms_key": "key-1"})
    response = client.post(
        quote(f"/courses/{COURSE}/xqueue/{learner}/{BLOCK}/score_update"),
        {"xqueue_header": header, "xqueue_body": GOOD},
        headers={"user-agent": CRAWLER},
    )
    assert response.status_code == 200
    assert api.read_score(learner, BLOCK, COURSE).earned == 1


@pytest.mark.parametrize(
    "path",
    [quote(f"/courses/{COURSE}/xqueue/7/{BLOCK}/score_update"), "/xqueue/put_result/"],
)
def test_requests_to_the_bridges_urls_are_no_crawlers(path, settings):
    """SG38: find no crawler at a callback URL or put_result, also with the host's detector."""
    settings.XQUEUE_BRIDGE = {"CRAWLER_DETECTOR": f"{__name__}.every_request"}
    crawlers_request = request(CRAWLER, path)
    crawlers_request.resolver_match = resolve(path)
    assert not is_crawler(crawlers_request)
