"""The counters as Prometheus reads them, under llama.cpp's names, and a few of our own."""

from __future__ import annotations

from typing import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from duck_protection.server.scheduler import Scheduler

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(scheduler: Scheduler) -> bytes:
    """The text of /metrics."""
    registry = CollectorRegistry()
    registry.register(_Collector(scheduler))
    return generate_latest(registry)


class _Collector:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client."""
        own = self._scheduler.tallies
        running, waiting = self._scheduler.counts()
        yield CounterMetricFamily("llamacpp:prompt_tokens", "Prompt tokens processed", own.prompt_tokens)
        yield CounterMetricFamily("llamacpp:prompt_seconds", "Time spent on prompts", own.prompt_s)
        yield CounterMetricFamily("llamacpp:tokens_predicted", "Tokens generated", own.predicted_tokens)
        yield CounterMetricFamily("llamacpp:tokens_predicted_seconds", "Time spent generating", own.predicted_s)
        yield CounterMetricFamily("llamacpp:n_decode", "Passes that generated tokens", own.steps)
        yield GaugeMetricFamily("llamacpp:n_tokens_max", "Longest prompt seen", own.longest_tokens)
        busy = own.busy_slots / max(1, own.steps)
        yield GaugeMetricFamily("llamacpp:n_busy_slots_per_decode", "Slots per pass", busy)
        yield GaugeMetricFamily(
            "llamacpp:prompt_tokens_seconds", "Prompt tokens per second", own.prompt_tokens / max(1e-9, own.prompt_s)
        )
        yield GaugeMetricFamily(
            "llamacpp:predicted_tokens_seconds",
            "Generated tokens per second",
            own.predicted_tokens / max(1e-9, own.predicted_s),
        )
        yield GaugeMetricFamily("llamacpp:requests_processing", "Answers in the making", running)
        yield GaugeMetricFamily("llamacpp:requests_deferred", "Answers that wait for a slot", waiting)
        yield CounterMetricFamily("duck_protection_wait_seconds", "Time that answers waited for a slot", own.wait_s)
        yield CounterMetricFamily("duck_protection_refused", "Requests refused because the queue was full", own.refused)
        yield CounterMetricFamily("duck_protection_decisions", "Typed questions answered", own.decisions)
        ends = CounterMetricFamily("duck_protection_answers", "Answers by how they ended", labels=["end"])
        for reason, count in sorted(dict(own.ends).items()):
            ends.add_metric([reason], count)
        yield ends
