"""A circuit breaker: after a failure, calls to a service are skipped for a time."""

from __future__ import annotations

import threading
import time


class CircuitBreaker:
    """Skips calls for ``retry_seconds`` after a failed one; then one thread tries again.

    The other threads do not wait for that thread, because each failed call may take seconds.
    """

    def __init__(self, retry_seconds: float) -> None:
        self.retry_seconds = retry_seconds
        self._lock = threading.Lock()
        #: Monotonic time of the next call that is allowed; 0: the service works.
        self._retry_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the last call failed."""
        return self._retry_at > 0

    def allows(self) -> bool:
        """Return whether the caller may call the service now."""
        with self._lock:
            now = time.monotonic()
            if now < self._retry_at:
                return False
            if self._retry_at:
                self._retry_at = now + self.retry_seconds
            return True

    def record_success(self) -> None:
        """Allow all calls again."""
        with self._lock:
            self._retry_at = 0.0

    def record_failure(self) -> bool:
        """Skip calls for a time; return whether the call before had not failed."""
        with self._lock:
            is_first = not self._retry_at
            self._retry_at = time.monotonic() + self.retry_seconds
            return is_first
