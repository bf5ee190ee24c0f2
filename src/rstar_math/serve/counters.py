"""What `/metrics` shows, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from rstar_math.search.events import Event, StepsProposed
from rstar_math.types import Solution

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Counters:
    """Counts of one server; several in one process do not mix."""

    def __init__(self, num_running: Callable[[], int], num_waiting: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "rstar_requests", "Requests by endpoint and status.", ("endpoint", "status"), registry=registry
        )
        self._answers = Counter(
            "rstar_answers", "Searches that ended, by model and outcome.", ("model", "outcome"), registry=registry
        )
        names = {
            "generated": "Tokens that the policy generated, discarded candidates included.",
            "scored": "Tokens read by the reward model.",
            "prompt": "Prompt tokens sent to the policy.",
        }
        self._tokens = {
            name: Counter(f"rstar_tokens_{name}", text, ("model",), registry=registry) for name, text in names.items()
        }
        self._trees = Counter("rstar_trees", "Trees grown.", ("model",), registry=registry)
        self._executions = Counter(
            "rstar_executions", "Step programs of searches, by how they ended.", ("status",), registry=registry
        )
        self._seconds = Histogram(
            "rstar_answer_seconds", "Seconds of thinking.", ("model",), registry=registry, buckets=_SECONDS
        )
        self._queued = Histogram(
            "rstar_queue_seconds", "Seconds until a slot was free.", registry=registry, buckets=_SECONDS
        )
        Gauge("rstar_searches_running", "Searches under way.", registry=registry).set_function(num_running)
        Gauge("rstar_searches_waiting", "Searches that wait for a slot.", registry=registry).set_function(num_waiting)
        self._healthy = Gauge("rstar_healthy", "1: models and sandbox work.", registry=registry)

    def request(self, endpoint: str, status: int) -> None:
        """A request was answered."""
        self._requests.labels(endpoint, str(status)).inc()

    def queued(self, seconds: float) -> None:
        """A search has got its slot."""
        self._queued.observe(seconds)

    def heard(self, event: Event) -> None:
        """A search told something."""
        if isinstance(event, StepsProposed):
            for candidate in event.candidates:
                if candidate.step.execution is not None:
                    self._executions.labels(candidate.step.execution.status).inc(candidate.num_proposed)

    def answered(self, model: str, solution: Solution, num_trees: int) -> None:
        """A search has ended."""
        cost = solution.cost
        self._answers.labels(model, "answered" if solution.answer is not None else str(solution.unfinished)).inc()
        self._tokens["generated"].labels(model).inc(cost.tokens_generated)
        self._tokens["scored"].labels(model).inc(cost.tokens_scored)
        self._tokens["prompt"].labels(model).inc(cost.tokens_prompt)
        self._trees.labels(model).inc(num_trees)
        self._seconds.labels(model).observe(cost.seconds)

    def ended(self, model: str, outcome: str) -> None:
        """A search ended without a solution: given up, or failed."""
        self._answers.labels(model, outcome).inc()

    def healthy(self, works: bool) -> None:
        """Whether models and sandbox work."""
        self._healthy.set(works)

    def text(self) -> bytes:
        """The metrics in the format of Prometheus."""
        return generate_latest(self._registry)
