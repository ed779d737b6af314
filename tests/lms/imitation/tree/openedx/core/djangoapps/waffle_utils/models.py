"""The overrides of CourseWaffleFlag."""

from django.db import models


class Override(models.Model):
    """On or off for one course or organisation; the newest row counts."""

    waffle_flag = models.CharField(max_length=255, db_index=True)
    scope = models.CharField(max_length=255, db_index=True)
    override_choice = models.CharField(max_length=3, default="on")
    enabled = models.BooleanField(default=True)

    class Meta:
        abstract = True
        app_label = "waffle_utils"

    def __str__(self) -> str:
        return f"{self.waffle_flag} {self.scope} {self.override_choice}"


class WaffleFlagCourseOverrideModel(Override):
    class Meta(Override.Meta):
        abstract = False


class WaffleFlagOrgOverrideModel(Override):
    class Meta(Override.Meta):
        abstract = False
