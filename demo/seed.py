"""Fill an empty database for the demo."""

from django.contrib.auth.models import User

from demo import users
from demo.course import OLX, course
from xqueue_bridge.course_structure import api as course_structure
from xqueue_bridge.models import TransportOverride


def seed(learners: int) -> list[User]:
    """Create the users, choose the submissions table as transport, and import the course.

    Returns the first ``learners`` learners. May be called again.
    """
    TransportOverride.objects.update_or_create(
        scope=TransportOverride.Scope.COURSE,
        name=str(course().key),
        defaults={"use_submissions_table": True},
    )
    course_structure.publish(course_structure.read_course(OLX))
    return users.create(learners)
