"""The two tables of the 2015 client, with their indexes."""

from django.conf import settings
from django.db import models
from opaque_keys.edx.django.models import CourseKeyField, UsageKeyField


class Module2015(models.Model):
    """One learner at one block."""

    module_type = models.CharField(max_length=32, db_index=True)
    module_state_key = UsageKeyField(max_length=255, db_index=True, db_column="module_id")
    student = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="modules_of_2015"
    )
    course_id = CourseKeyField(max_length=255, db_index=True)
    state = models.TextField(null=True, blank=True)
    grade = models.FloatField(null=True, blank=True, db_index=True)
    max_grade = models.FloatField(null=True, blank=True)
    done = models.CharField(max_length=8, default="na", db_index=True)
    created = models.DateTimeField(auto_now_add=True, db_index=True)
    modified = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        managed = False  # made by the benchmark, after the tables that it points at
        unique_together = (("student", "module_state_key", "course_id"),)

    def __str__(self) -> str:
        return f"module {self.pk}"


class History2015(models.Model):
    """State of a problem after one save."""

    student_module = models.ForeignKey(Module2015, on_delete=models.CASCADE)
    version = models.CharField(max_length=255, null=True, blank=True, db_index=True)
    created = models.DateTimeField(db_index=True)
    state = models.TextField(null=True, blank=True)
    grade = models.FloatField(null=True, blank=True)
    max_grade = models.FloatField(null=True, blank=True)

    class Meta:
        managed = False

    def __str__(self) -> str:
        return f"history of {self.student_module_id}"
