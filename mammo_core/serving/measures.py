"""What a server tells Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Measures:
    """Counts of one server; nothing of an image or a patient is in a label."""

    def __init__(self, model: str, version: str, model_id: str) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "mammo_requests",
            "Requests answered, by route and status.",
            ("route", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "mammo_request_seconds",
            "Time from a request's first byte to its answer.",
            ("route",),
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "mammo_requests_in_flight", "Requests being answered.", registry=self._registry
        )
        self.images = Counter(
            "mammo_images_scored",
            "Images scored, or breasts by a model of both views, by decision.",
            ("decision",),
            registry=self._registry,
        )  # fmt: skip
        self.warned = Counter(
            "mammo_images_warned", "Images outside the training data.", registry=self._registry
        )
        Gauge(
            "mammo_model", "1, with the model in its labels.", ("name", "version", "model_id"),
            registry=self._registry,
        ).labels(model, version, model_id).set(1)  # fmt: skip

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)
