"""The users of the demo: learners and an operator, without passwords."""

from __future__ import annotations

from django.contrib.auth.models import Permission, User

OPERATOR = "operator"
LEARNER = "learner-"

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
    """Create the first ``how_many`` learners and the operator; return the learners.

    Existing users do not change. In the admin the operator has all permissions for the bridge's
    tables, and none for others.
    """
    known = set(User.objects.values_list("username", flat=True))
    people = [_learner(number) for number in range(1, how_many + 1)]
    people.append(User(username=OPERATOR, first_name="Operator", is_staff=True))
    for person in people:
        person.set_unusable_password()
    User.objects.bulk_create(person for person in people if person.username not in known)
    ours = Permission.objects.filter(content_type__app_label="xqueue_bridge")
    User.objects.get(username=OPERATOR).user_permissions.set(ours)
    return list(learners()[:how_many])


def learners() -> list[User]:
    """Return every learner, in the order of their numbers."""
    found = User.objects.filter(username__startswith=LEARNER, is_active=True)
    return sorted(found, key=lambda learner: int(learner.username.removeprefix(LEARNER)))


def who_may_sign_in() -> list[User]:
    """Return the users that can be chosen on the front page: the learners and the operator."""
    return [*learners(), *User.objects.filter(username=OPERATOR, is_active=True)]


def _learner(number: int) -> User:
    first, last = NAMES[(number - 1) % len(NAMES)]
    generation = (number - 1) // len(NAMES)
    suffix = f" {generation + 1}" if generation else ""
    return User(username=f"{LEARNER}{number:02}", first_name=first, last_name=last + suffix)
