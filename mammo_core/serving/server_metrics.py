"""The metrics of a server for Prometheus."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mammo_core.scoring.events import ScoreEvent


class ServerMetrics:
    """Metrics of one server; labels contain nothing about an image, a patient or a client."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "mammo_requests",
            "Requests answered, by route and status.",
            ("route", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "mammo_request_seconds",
            "Time from the first byte of a request to its response.",
            ("route",),
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "mammo_requests_in_flight", "Requests in progress.", registry=self._registry
        )
        self.images = Counter(
            "mammo_images_scored",
            "Images scored (breasts for a model of two views), by decision.",
            ("decision",),
            registry=self._registry,
        )
        self.warned = Counter(
            "mammo_images_warned", "Images with warnings.", registry=self._registry
        )
        self.probability = Histogram(
            "mammo_image_probability",
            "Malignant probability of scored files, by vendor and kind of image.",
            ("vendor", "image_type"),
            buckets=(0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1),
            registry=self._registry,
        )
        self.unlike = Counter(
            "mammo_images_unlike",
            "Images unlike the training images, by vendor and measure of gray levels.",
            ("vendor", "measure"),
            registry=self._registry,
        )
        self.warnings = Counter(
            "mammo_image_warnings",
            "Warnings about scored files, by code.",
            ("code",),
            registry=self._registry,
        )
        self._model = Gauge(
            "mammo_model",
            "Always 1; the labels describe the model.",
            ("name", "version", "model_id"),
            registry=self._registry,
        )

    def set_model(self, name: str, version: str, model_id: str) -> None:
        """Name the model that is served.

        Args:
            name: Its name in paths.
            version: Its version.
            model_id: Its model id.
        """
        self._model.labels(name, version, model_id).set(1)

    def add(self, events: Sequence[ScoreEvent]) -> None:
        """Count scored files; the labels are words of our lists.

        Args:
            events: The files.
        """
        for event in events:
            labels = event.vendor, event.image_type or "unknown"
            self.probability.labels(*labels).observe(event.probability)
            for measure in event.unlike:
                self.unlike.labels(event.vendor, measure).inc()
            for code in event.warnings:
                self.warnings.labels(code).inc()

    def watch_events(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """Also report what becomes of the events that are recorded in a store.

        Args:
            counts: Returns the number of events `written`, `dropped` and `waiting`, and of
                `failures` of the store.
        """
        self._registry.register(_EventCounts(counts))

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class _EventCounts(Collector):
    def __init__(self, counts: Callable[[], Mapping[str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        counts = self._counts()
        for name, text in (
            ("written", "Events that are in the store."),
            ("dropped", "Events that were dropped because the store failed for too long."),
        ):
            yield CounterMetricFamily(f"mammo_events_{name}", text, value=counts[name])
        failures = "Failed attempts to write events."
        yield CounterMetricFamily("mammo_events_failures", failures, value=counts["failures"])
        waiting = "Events that wait to be written."
        yield GaugeMetricFamily("mammo_events_waiting", waiting, value=counts["waiting"])
