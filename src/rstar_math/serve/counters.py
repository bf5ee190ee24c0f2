"""What `/metrics` shows, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from rstar_math.engines.base import Batches
from rstar_math.search.course import Course
from rstar_math.search.events import Event, StepsProposed
from rstar_math.types import Cost, Solution

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class _BatchSizes(Collector):
    """How many completions the engines decode at the same time, as the engines count it."""

    def __init__(self, batches: Callable[[], Mapping[str, Batches]]) -> None:
        self._batches = batches

    def collect(self) -> Iterator[Metric]:
        """One histogram over the engine's steps for each model; its sum is the number of tokens drawn."""
        family = HistogramMetricFamily(
            "rstar_engine_batch_rows", "Completions in one step of the engine.", labels=("model",)
        )
        for model, batches in self._batches().items():
            up_to = accumulate(batches.by_size)
            buckets = [(f"{float(1 << k)}", float(count)) for k, count in enumerate(up_to)]
            family.add_metric([model], [*buckets[:-1], ("+Inf", buckets[-1][1])], float(batches.num_rows))
        yield family


class Counters:
    """Counts of one server; several in one process do not mix."""

    def __init__(
        self,
        num_running: Callable[[], int],
        num_waiting: Callable[[], int],
        batches: Callable[[], Mapping[str, Batches]] = dict,
    ) -> None:
        """Begins to count.

        Args:
          num_running, num_waiting: searches in slots, and before them.
          batches: of each model whose engine counts them.
        """
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
        registry.register(_BatchSizes(batches))

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
        self._answers.labels(model, "answered" if solution.answer is not None else str(solution.unfinished)).inc()
        self._spent(model, solution.cost, num_trees)
        self._seconds.labels(model).observe(solution.cost.seconds)

    def ended(self, model: str, outcome: str, course: Course | None) -> None:
        """A search ended without a solution, given up or failed, so far as it had come; None: it had not begun."""
        self._answers.labels(model, outcome).inc()
        if course is not None:
            self._spent(model, course.cost, course.num_trees)

    def _spent(self, model: str, cost: Cost, num_trees: int) -> None:
        self._tokens["generated"].labels(model).inc(cost.tokens_generated)
        self._tokens["scored"].labels(model).inc(cost.tokens_scored)
        self._tokens["prompt"].labels(model).inc(cost.tokens_prompt)
        self._trees.labels(model).inc(num_trees)

    def healthy(self, works: bool) -> None:
        """Whether models and sandbox work."""
        self._healthy.set(works)

    def text(self) -> bytes:
        """The metrics in the format of Prometheus."""
        return generate_latest(self._registry)
