"""The metrics of a server for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


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

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
