"""xqueue_bridge: the package, its dependencies and its extras."""

from pathlib import Path

from setuptools import find_packages, setup

# Every core dependency is already part of an LMS image, so installing us adds nothing to it. The
# bounds take the versions of every supported release (requirements/platform/), and nothing that
# is not tested.
CORE = [
    "Django>=5.2,<7",
    "djangorestframework>=3.16,<4",
    "requests>=2.32,<3",
    "edx-opaque-keys[django]>=3.0,<5",
    "celery>=5.4,<6",
    "nh3>=0.2.18,<1",
]

WAFFLE = ["django-waffle>=4.2"]

# Events and filters of the platform. The lower bounds are Ulmo's.
OPENEDX = ["openedx-events>=10.5", "openedx-filters>=2.1"]

# The real problem block. xblocks-contrib names neither setuptools (fs imports pkg_resources,
# gone from setuptools 81) nor lazy (xblock.django.request).
DEMO = ["xblocks-contrib>=0.13", "setuptools<81", "lazy>=1.6"]

# xqueue_bridge.grader, and the server's own checks for `xqueue-grader try`.
GRADER = ["requests>=2.32"]
GRADER_PREVIEW = [*GRADER, "nh3>=0.2.18"]

METRICS = ["prometheus-client>=0.20"]

# xqueue_bridge_gateway. httptools parses requests faster than uvicorn's own h11.
GATEWAY = ["uvicorn>=0.30", "httptools>=0.6"]

# The client. Tests without a server try what happens when none responds.
REDIS = "redis>=5.2"

TEST = [
    *METRICS,
    *GATEWAY,
    *DEMO,
    *WAFFLE,
    *OPENEDX,
    REDIS,
    "pytest>=8.3",
    "pytest-django>=4.11",
    "pytest-xdist>=3.6",
    "pytest-cov>=6",
    "hypothesis>=6.120",
    "jsonschema>=4.23",
    "openapi-spec-validator>=0.7",
    "opentelemetry-sdk>=1.27",
    "responses>=0.25",
    "time-machine>=2.16",
    "Babel>=2.16",
    "packaging>=24",
    # The parts of the platform that are packages of their own.
    "edx-django-utils>=8.0",
    "edx-submissions>=3.12",
]

# Requests made from the OpenAPI document: tests/fuzz_openapi.py.
FUZZ = ["schemathesis==4.32.5"]

SERVERS = ["psycopg[binary]>=3.2", "PyMySQL>=1.1", REDIS]
CI = ["tox>=4.23"]
# For the tests of the thread that runs jobs, in the processes of these servers.
WEB_SERVERS = ["gunicorn>=23", "pyuwsgi>=2.0.28"]
# `make benchmark`, with the extras test and servers.
BENCHMARK = ["gunicorn>=23", "matplotlib>=3.9"]
BROWSER = ["playwright>=1.50", "axe-playwright-python>=0.1.4"]
QUALITY = [
    "ruff>=0.9",
    "mypy>=1.14",
    "import-linter>=2.7",
    "code-annotations>=2",
    "django-stubs[compatible-mypy]>=5.1",
    "djangorestframework-stubs>=3.15",
    "types-PyMySQL",
    "types-requests",
]
DOCS = ["sphinx>=8"]

setup(
    name="xqueue-bridge",
    version="0.1.0",
    description="Carries learners' answers from Open edX to external graders, and the grades back.",
    long_description=Path("README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["xqueue_bridge", "xqueue_bridge.*"]),
    package_data={
        "xqueue_bridge": [
            "templates/**/*.html",
            "static/**/*",
            "locale/*/LC_MESSAGES/*",
            "protocol/schemas/*.json",
            "py.typed",
        ]
    },
    install_requires=CORE,
    extras_require={
        "waffle": WAFFLE,
        "openedx": OPENEDX,
        "metrics": METRICS,
        "gateway": GATEWAY,
        "demo": DEMO,
        # The library for grader authors. Without Django: pip install --no-deps, and these.
        "grader": GRADER,
        "grader-preview": GRADER_PREVIEW,
        "test": TEST,
        "fuzz": FUZZ,
        "servers": SERVERS,
        "browser": BROWSER,
        "quality": QUALITY,
        "docs": DOCS,
        "ci": CI,
        "benchmark": BENCHMARK,
        "web-servers": WEB_SERVERS,
    },
    entry_points={
        "console_scripts": ["xqueue-grader = xqueue_bridge.grader.cli:main"],
        "lms.djangoapp": ["xqueue_bridge = xqueue_bridge.apps:XQueueBridgeConfig"],
        "cms.djangoapp": ["xqueue_bridge = xqueue_bridge.apps:XQueueBridgeConfig"],
    },
    classifiers=[
        "Framework :: Django :: 5.2",
        "Framework :: Django :: 6.0",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
    ],
)
