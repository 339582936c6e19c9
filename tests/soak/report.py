"""What the soak says at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.soak.scene import Scene

MOST_FINDINGS = 20


def summary(scene: Scene) -> Iterator[str]:
    """Return the lines of the summary."""
    watch = scene.watch
    yield f"== {scene.kind}: {len(watch.known)} rows, {len(watch.ends.seen)} attempts, {watch.looks} looks"
    yield from _table("what was done", scene.deeds.counts)
    yield from _table("states at the end", Counter(row.state for row in watch.known.values()))
    yield from _table("how attempts ended", Counter(end.cause or "completed" for end in watch.ends.seen.values()))
    yield f"  most tasks at once: {watch.runs.peak} of {watch.runs.most}"
    yield f"  longest with a dead supervisor: {watch.truth.supervisors.longest:.1f} s of patience"
    yield f"  longest with a dead runner: {watch.truth.runners.longest:.1f} s of patience"
    for measure in scene.measures[:1] + scene.measures[-1:]:
        yield f"  at rest: {measure.of_all}"
        for (part, process), numbers in sorted(measure.of_each.items()):
            yield f"    {part} {process.pid}: {numbers}"
    yield f"  violations: {len(watch.findings)}"
    for finding in watch.findings[:MOST_FINDINGS]:
        yield f"  ! {finding.violation.invariant}: {finding.violation.about}: {finding.violation.what}"
        yield from (f"      {line}" for line in finding.history[-60:])


def _table(title: str, counts: Counter[str]) -> Iterator[str]:
    yield f"  {title}:"
    width = max((len(name) for name in counts), default=0)
    yield from (f"    {name:<{width}}  {count:>6}" for name, count in sorted(counts.items()))
