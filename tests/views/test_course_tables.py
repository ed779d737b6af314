"""The tables of course teams and learners: sorted, filtered, paged, exported, bounded."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from tests.course_grades.courses import COURSE_KEY
from tests.course_grades.factories import publish
from tests.submission_queue.factories import COURSE, OTHER_PROBLEM
from tests.views import table_rows
from xqueue_bridge.data import ProblemDescription
from xqueue_bridge.regrading.models import Regrade, RegradeItem
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.views import stored_rows, tables
from xqueue_bridge.views.course_team import statistics

pytestmark = pytest.mark.django_db

TEAM = f"/xqueue/courses/{COURSE}"
#: Rows of each table: a page has 50.
ROWS = 60


@dataclass(frozen=True)
class Table:
    """What adds rows, what identifies one, and what may be asked of the table."""

    fill: Callable[[int, User], object]
    key: Callable[[Any], object]
    #: The columns that it is sorted by; in those of ``same`` all rows are equal.
    sorts: tuple[str, ...]
    same: tuple[str, ...]
    #: A filter, and how many of ROWS it selects.
    given: dict[str, str]
    selected: int
    #: Of the page in its first order; session and user are two of them.
    statements: int


TABLES = {
    # Course; rows, names, points.
    f"{TEAM}/submissions/": Table(
        lambda number, root: table_rows.add_submissions(table_rows.add_learners(number)),
        lambda row: row.submission.pk,
        ("sent", "learner", "problem", "queue", "status"),
        (),
        {"learner": "learner 07"},
        1,
        6,
    ),
    # Course; the boundary of the newest rows, counts.
    f"{TEAM}/problems/": Table(
        lambda number, root: table_rows.add_problems(number, root.pk),
        lambda row: row.usage_key,
        ("problem", "submissions", "failed"),
        ("submissions", "failed"),
        {"problem": "p1"},
        10,
        5,
    ),
    # Course; rows, progress, names.
    f"{TEAM}/regrades/": Table(
        lambda number, root: table_rows.add_regrades(number, root.pk),
        lambda row: row.regrade.pk,
        ("started", "who", "what", "status"),
        (),
        {"status": "finished", "who": "root"},
        20,
        6,
    ),
    # Regrade, progress, author, items, names.
    f"{TEAM}/regrades/1/": Table(
        lambda number, root: table_rows.add_items(table_rows.add_learners(number)),
        lambda row: row[0].pk,
        ("learner", "submission", "status", "before", "after"),
        (),
        {"status": "failed"},
        20,
        7,
    ),
    # Ids, states, submissions, replies, transport; names.
    f"{TEAM}/stuck/": Table(
        lambda number, root: table_rows.add_stuck(table_rows.add_learners(number)),
        lambda row: row[0].row_id,
        ("learner", "problem", "unchanged_since", "kind", "repair"),
        ("problem", "unchanged_since", "kind", "repair"),
        {"learner": "learner 1", "kind": "lost", "problem": "loops"},
        10,
        8,
    ),
    # Course; who has scores, who has grades; names; grades (2).
    f"/xqueue/grades/{COURSE_KEY}/gradebook/": Table(
        lambda number, root: table_rows.add_grades(table_rows.add_learners(number)),
        lambda row: row.learner.user_id,
        ("name", "total", "1"),
        ("1",),
        {"search": "learner", "passed": "yes"},
        10,
        8,
    ),
    # Rows, and the regrades and replies of those that are answered.
    "/xqueue/my/": Table(
        lambda number, root: table_rows.add_submissions([root.pk] * number),
        lambda row: row[0].status.submission_id,
        ("sent", "problem", "status", "finished"),
        (),
        {"problem": str(OTHER_PROBLEM)},
        10,
        5,
    ),
}
SORTED = [(path, sort) for path, table in TABLES.items() for sort in table.sorts]
DIFFERENT = [(path, sort) for path, sort in SORTED if sort not in TABLES[path].same]


@pytest.fixture
def root(client, settings) -> User:
    """Log in staff of the host, who have sent answers, too."""
    cache.clear()
    settings.XQUEUE_BRIDGE = {"DESCRIBE_PROBLEM": f"{__name__}.no_description"}
    user = User.objects.create_superuser("root", first_name="Ada")
    client.force_login(user)
    publish()
    return user


def no_description(course_key, usage_key) -> ProblemDescription:
    return ProblemDescription()


@pytest.fixture
def fill(root) -> Callable[..., str]:
    """Return a function that adds rows to the table of a path, and returns the path."""

    def add(path: str, number: int = ROWS) -> str:
        TABLES[path].fill(number, root)
        job = Regrade.objects.order_by("pk").first()
        return path.replace("/1/", f"/{job.pk}/") if job else path

    return add


def lines_of(client: Client, path: str, **query: str) -> list[dict[str, str]]:
    response = client.get(path.rstrip("/") + ".csv", query)
    assert response.status_code == 200
    text = b"".join(response.streaming_content).decode().removeprefix("\ufeff")
    return list(csv.DictReader(io.StringIO(text)))


def table_of(page: str) -> str:
    return page.partition("<tbody>")[2].partition("</tbody>")[0]


def rows_of(page: str) -> list[str]:
    return re.findall(r"<tr>(.*?)</tr>", table_of(page), re.DOTALL)


@pytest.mark.parametrize(("path", "sort"), SORTED)
def test_pages_in_each_order_have_every_row_once(client, fill, path, sort) -> None:
    name, path = path, fill(path)
    for order in ("asc", "desc"):
        seen, query = [], f"?sort={sort}&order={order}"
        while query:
            response = client.get(path + query)
            page = response.content.decode()
            aria = "ascending" if order == "asc" else "descending"
            assert page.count(f'aria-sort="{aria}"') == page.count("aria-sort") == 1
            assert 0 < len(rows_of(page)) <= 50
            seen += [TABLES[name].key(row) for row in response.context["rows"]]
            found = re.search(r'rel="next" href="([^"]*)"', page)
            query = unescape(found.group(1)) if found else ""
        assert len(seen) == len(set(seen)) == ROWS
    assert len(lines_of(client, path)) == ROWS


@pytest.mark.parametrize(("path", "sort"), DIFFERENT)
def test_two_orders_of_a_column_begin_with_other_rows(client, fill, path, sort) -> None:
    path = fill(path)
    pages = [client.get(path, {"sort": sort, "order": each}) for each in ("asc", "desc")]
    assert table_of(pages[0].content.decode()) != table_of(pages[1].content.decode())


@pytest.mark.parametrize("path", TABLES)
def test_filter_selects_the_same_rows_on_the_page_and_in_the_file(client, fill, path) -> None:
    given, number = TABLES[path].given, TABLES[path].selected
    path = fill(path)
    page = client.get(path, given).content.decode()
    assert len(rows_of(page)) == number
    assert "All rows" in page
    link = re.search(r'href="([^"]*\.csv\?[^"]*)"', page)
    assert link, "the file has the filter of the page"
    response = client.get(unescape(link.group(1)))
    text = b"".join(response.streaming_content).decode()
    assert len(list(csv.reader(io.StringIO(text)))) == number + 1
    assert len(lines_of(client, path, **given)) == number


@pytest.mark.parametrize(("path", "sort"), SORTED)
def test_unknown_values_of_the_query_are_ignored(client, fill, path, sort) -> None:
    path = fill(path, 3)
    wrong = (
        "x",
        "5.\0",
        "5",
        "5.",
        "5.x",
        "5.nan",
        "5.1e999",
        "5." + "9" * 30,
        "9" * 19,
        "-1",
        "5.5",
    )
    for after in wrong:
        assert client.get(path, {"sort": sort, "after": after}).status_code == 200, after
    for given in ({"sort": "x"}, {"order": "x"}, {"begin": "x"}):
        assert client.get(path, {"sort": sort, **given}).status_code == 200


@pytest.mark.parametrize("path", TABLES)
def test_invalid_filter_is_answered_with_its_error(client, fill, path) -> None:
    name = next(iter(TABLES[path].given))
    path = fill(path, 1)
    response = client.get(path, {name: "x" * 999})
    assert response.status_code == 422
    assert 'role="alert"' in response.content.decode()
    assert client.get(path.rstrip("/") + ".csv", {name: "x" * 999}).status_code == 422


@pytest.mark.parametrize("path", [path for path in TABLES if not path.endswith("/1/")])
def test_table_without_rows_says_so(client, root, path) -> None:
    page = client.get(path).content.decode()
    assert 'class="empty"' in page
    assert lines_of(client, path) == []
    assert 'class="empty"' in client.get(path, TABLES[path].given).content.decode()


@pytest.mark.parametrize("path", TABLES)
def test_heads_are_links_and_the_table_has_a_name(client, fill, path) -> None:
    sorts, path = TABLES[path].sorts, fill(path)
    page = client.get(path).content.decode()
    assert re.search(r'<div class="scroll" tabindex="0" role="region" aria-label="[^"]+">', page)
    head = page.partition("<thead>")[2].partition("</thead>")[0]
    assert re.findall(r'href="\?[^"]*sort=(\w+)&amp;order', head) == list(sorts)
    assert head.count("<th") == head.count('scope="col"')


@pytest.mark.parametrize("number", [2, ROWS])
@pytest.mark.parametrize("path", TABLES)
def test_statements_are_the_same_for_any_number(
    client, fill, django_assert_num_queries, path, number
) -> None:
    expected = TABLES[path].statements
    path = fill(path, number)
    with django_assert_num_queries(expected):
        client.get(path)


# -- bounds


def test_other_columns_than_the_key_sort_the_newest_rows(
    client, fill, monkeypatch, django_assert_num_queries
) -> None:
    """One statement more, and the page says of how many rows it is."""
    monkeypatch.setattr(tables, "MAX_SORTED", 10)
    path = fill(f"{TEAM}/submissions/")
    newest = set(Submission.objects.order_by("-pk").values_list("pk", flat=True)[:10])
    with django_assert_num_queries(7):
        response = client.get(path, {"sort": "status"})
    assert {row.submission.pk for row in response.context["rows"]} == newest
    assert "Of the newest 10 rows" in response.content.decode()
    whole = client.get(path)
    assert len(whole.context["rows"]) == 50
    assert "Of the newest" not in whole.content.decode()


def test_problems_are_counted_among_the_newest_submissions(client, fill, monkeypatch) -> None:
    monkeypatch.setattr(statistics, "NEWEST", 5)
    path = fill(f"{TEAM}/problems/")
    assert len(client.get(path).context["rows"]) == 5


def test_rows_without_a_value_are_below_the_others_in_both_orders(client, fill) -> None:
    path = fill(f"{TEAM}/regrades/1/", 6)
    points = list(RegradeItem.objects.order_by("pk").values_list("points_before", flat=True))
    assert None in points
    for order, expected in (
        ("asc", sorted(points, key=lambda each: -1 if each is None else each)),
        ("desc", sorted(points, key=lambda each: -1 if each is None else each, reverse=True)),
    ):
        rows = client.get(path, {"sort": "before", "order": order}).context["rows"]
        assert [item.points_before for item, _learner in rows] == expected


def test_boundary_of_the_newest_rows_is_read_from_the_keys(root, django_assert_num_queries) -> None:
    table_rows.add_submissions([root.pk] * 5)
    with django_assert_num_queries(1) as queries:
        rows, is_part = stored_rows.newest(Submission.objects.all(), 3)
    assert is_part
    assert "content_id" not in queries[0]["sql"], "only the key is read"
    assert rows.count() == 3
    assert stored_rows.newest(Submission.objects.all(), 5)[1] is False
