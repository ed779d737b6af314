"""The users of the demo without passwords: learners, classmates, the course team, an operator."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission, User

from demo.course import course
from xqueue_bridge.lms.course_staff import group_name

OPERATOR = "operator"
#: A member of the course team, who is no staff of the site.
TEAM = "course-team"
LEARNER = "learner-"
#: Learners of whom the demo has a week of history; they cannot be chosen.
CLASSMATE = "classmate-"

NAMES = (
    ("Amara", "Okafor"),
    ("Bruno", "Castelli"),
    ("Chandra", "Iyer"),
    ("Dina", "Haddad"),
    ("Emil", "Lindqvist"),
    ("Fatima", "Zahra"),
    ("Goro", "Tanaka"),
    ("Hana", "Novotná"),
)


def create(how_many: int) -> list[User]:
    """Create the first ``how_many`` learners, and the staff; return the learners.

    Existing users do not change. In the admin the operator has all permissions for the bridge's
    tables, and none for others.
    """
    known = set(User.objects.values_list("username", flat=True))
    people = [_learner(number) for number in range(1, how_many + 1)]
    people.append(User(username=TEAM, first_name="Tessa", last_name="Brandt"))
    people.append(User(username=OPERATOR, first_name="Operator", is_staff=True))
    for person in people:
        person.set_unusable_password()
    User.objects.bulk_create(person for person in people if person.username not in known)
    ours = Permission.objects.filter(content_type__app_label="xqueue_bridge")
    User.objects.get(username=OPERATOR).user_permissions.set(ours)
    group, _ = Group.objects.get_or_create(name=group_name(course().key))
    User.objects.get(username=TEAM).groups.add(group)
    return list(learners()[:how_many])


def create_classmates(how_many: int) -> list[User]:
    """Create and return learners who have answered in the past week."""
    people = [_learner(number, CLASSMATE) for number in range(9, 9 + how_many)]
    for person in people:
        person.set_unusable_password()
    User.objects.bulk_create(people)
    return list(User.objects.filter(username__startswith=CLASSMATE).order_by("username"))


def learners() -> list[User]:
    """Return every learner, in the order of their numbers."""
    found = User.objects.filter(username__startswith=LEARNER, is_active=True)
    return sorted(found, key=lambda learner: int(learner.username.removeprefix(LEARNER)))


def who_may_sign_in() -> list[User]:
    """Return the users that can be chosen on the front page: all but the classmates."""
    staff = User.objects.filter(username__in=(TEAM, OPERATOR), is_active=True)
    return [*learners(), *staff.order_by("username")]


def _learner(number: int, prefix: str = LEARNER) -> User:
    first, last = NAMES[(number - 1) % len(NAMES)]
    generation = (number - 1) // len(NAMES)
    suffix = f" {generation + 1}" if generation else ""
    return User(username=f"{prefix}{number:02}", first_name=first, last_name=last + suffix)
