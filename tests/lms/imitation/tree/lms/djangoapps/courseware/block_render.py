"""The platform's block_render: runtime, services dictionary, handlers, and the callback view."""

from __future__ import annotations

import json

from django.contrib.auth import get_user_model
from django.http import Http404, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from opaque_keys.edx.keys import CourseKey, UsageKey
from xblock.runtime import KvsFieldData
from xmodule.modulestore.django import modulestore
from xmodule.services import XQueueService

from demo.services import services_for
from lms.djangoapps.courseware.model_data import DjangoKeyValueStore, FieldDataCache
from tests.lms import platform_signatures
from tests.lms.platform_signatures import takes_parameters_of


@takes_parameters_of(platform_signatures.get_block_for_descriptor)
def get_block_for_descriptor(given):
    store = DjangoKeyValueStore(given.field_data_cache)
    # The name is looked up when a runtime is prepared, so an assignment to it is effective.
    services = {**services_for(given.user.pk), "xqueue": XQueueService}
    given.block.bind_for_student(given.user, given.student_data or KvsFieldData(store), services)
    is_enrolled = modulestore().is_enrolled(given.user, given.course_key)
    if getattr(given.user, "known", True) and not is_enrolled:
        return None
    return given.block


def load_single_xblock(request, user_id, course_id, usage_key_string, course=None):
    usage_key = UsageKey.from_string(usage_key_string)
    course_key = CourseKey.from_string(course_id)
    user = get_user_model().objects.get(id=user_id)
    block = modulestore().get_item(usage_key)
    cache = FieldDataCache.cache_for_block_descendents(course_key, user, block, depth=0)
    instance = get_block_for_descriptor(user, request, block, cache, course_key, course=course)
    if instance is None:
        raise Http404
    return instance


@csrf_exempt
def xqueue_callback(request, course_id, userid, mod_id, dispatch):
    data = request.POST.copy()
    for key in ("xqueue_header", "xqueue_body"):
        if key not in data:
            raise Http404
    header = json.loads(data["xqueue_header"])
    if not isinstance(header, dict) or "lms_key" not in header:
        raise Http404
    with modulestore().bulk_operations(CourseKey.from_string(course_id)):
        instance = load_single_xblock(request, userid, course_id, mod_id)
        data["queuekey"] = header["lms_key"]
        instance.handle_ajax(dispatch, data)
        instance.save()
    return HttpResponse("")


@csrf_exempt
def handle_xblock_callback(request, course_id, usage_id, handler, suffix=None):
    if not request.user.is_authenticated:
        return HttpResponse(status=403)
    instance = load_single_xblock(request, request.user.pk, course_id, usage_id)
    response = instance.handle_ajax(suffix, request.POST)
    instance.save()
    return JsonResponse(json.loads(response))
