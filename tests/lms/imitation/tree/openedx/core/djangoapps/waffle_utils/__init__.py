"""The platform's CourseWaffleFlag: course override, organisation override, then the flag."""


class CourseWaffleFlag:
    def __init__(self, flag_name, module_name, log_prefix=""):
        self.name = flag_name

    def is_enabled(self, course_key=None):
        from waffle import get_waffle_flag_model

        from openedx.core.djangoapps.waffle_utils.models import (
            WaffleFlagCourseOverrideModel,
            WaffleFlagOrgOverrideModel,
        )

        if course_key is not None:
            for model, value in (
                (WaffleFlagCourseOverrideModel, str(course_key)),
                (WaffleFlagOrgOverrideModel, course_key.org),
            ):
                found = model.objects.filter(waffle_flag=self.name, scope=value, enabled=True)
                override = found.order_by("-pk").first()
                if override is not None:
                    return override.override_choice == "on"
        return bool(get_waffle_flag_model().get(self.name).everyone)
