"""Public API of the package."""

from xqueue_bridge.metrics.models import QueueSample
from xqueue_bridge.metrics.sampling import take_samples
from xqueue_bridge.metrics.throughput import WINDOW, queue_throughputs, samples_of, samples_since

__all__ = [
    "WINDOW",
    "QueueSample",
    "queue_throughputs",
    "samples_of",
    "samples_since",
    "take_samples",
]
