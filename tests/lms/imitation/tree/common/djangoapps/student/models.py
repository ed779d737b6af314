"""The platform's anonymous ids. They are computed here, and have no table."""

from django.contrib.auth import get_user_model
from django.db.models import F

from demo.services import anonymous_id


def user_by_anonymous_id(uid):
    users = get_user_model().objects.all()
    return next((user for user in users if anonymous_id(user.pk) == uid), None)


class _Ids:
    def filter(self, anonymous_user_id):
        user = user_by_anonymous_id(anonymous_user_id)
        users = get_user_model().objects.filter(pk=getattr(user, "pk", None))
        return users.annotate(user_id=F("pk"))


class AnonymousUserId:
    """Has no columns; only the look-up."""

    objects = _Ids()
