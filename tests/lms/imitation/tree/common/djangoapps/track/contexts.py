"""The context of tracking events."""


def course_context_from_course_id(course_id):
    return {"course_id": str(course_id), "org_id": course_id.org}
