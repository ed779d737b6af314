"""tutor-contrib-xqueue-bridge: a Tutor plugin that installs xqueue_bridge."""

from setuptools import find_packages, setup

setup(
    name="tutor-contrib-xqueue-bridge",
    version="0.1.0",
    description="Tutor plugin that installs xqueue_bridge into an LMS.",
    license="Apache-2.0",
    python_requires=">=3.9",
    packages=find_packages(include=["tutorxqueuebridge"]),
    package_data={"tutorxqueuebridge": ["patches/*"]},
    install_requires=["tutor>=21,<23"],
    entry_points={"tutor.plugin.v1": ["xqueue-bridge = tutorxqueuebridge.plugin"]},
)
