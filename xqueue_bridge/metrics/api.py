"""Public API of the package."""

from xqueue_bridge.metrics.models import QueueSample
from xqueue_bridge.metrics.rates import WINDOW, queue_rates, samples_of, samples_since
from xqueue_bridge.metrics.sampling import take_samples

__all__ = [
    "WINDOW",
    "QueueSample",
    "queue_rates",
    "samples_of",
    "samples_since",
    "take_samples",
]
