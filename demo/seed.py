"""What an empty database needs before the demo can start."""

from django.contrib.auth.models import User

from demo import users as people
from demo.course import OLX, course
from xqueue_bridge.models import TransportChoice
from xqueue_bridge.course_grades import api as persistent_grades


def seed(learners: int) -> list[User]:
    """Create learners and operator, send the course's submissions to our own table, and load
    what is graded in it.

    Returns the first ``learners`` learners. May be called again.
    """
    TransportChoice.objects.update_or_create(
        scope=TransportChoice.Scope.COURSE,
        name=str(course().key),
        defaults={"use_submissions_table": True},
    )
    persistent_grades.publish(persistent_grades.read_course(OLX))
    return people.create(learners)
