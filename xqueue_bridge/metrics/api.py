"""Public API of the package."""

from xqueue_bridge.metrics.rates import QueueRate, queue_rates, samples_of
from xqueue_bridge.metrics.sampling import SAMPLE_AGE, take_samples

__all__ = ["SAMPLE_AGE", "QueueRate", "queue_rates", "samples_of", "take_samples"]
