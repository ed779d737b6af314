"""The WSGI application of a system; DJANGO_SETTINGS_MODULE says of which."""

import os

from django.core.wsgi import get_wsgi_application

if os.environ["DJANGO_SETTINGS_MODULE"].endswith("ours"):
    import benchmarks.side_by_side.celery_app  # noqa: F401 (becomes Celery's current app)

application = get_wsgi_application()

if folder := os.environ.get("BENCHMARK_PROFILE"):
    from benchmarks.side_by_side.profiled import profiled

    application = profiled(application, folder)  # type: ignore[assignment]
