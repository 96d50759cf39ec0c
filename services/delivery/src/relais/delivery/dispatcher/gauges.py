"""What waits, for the dashboards: counted in the queue now and then, by connector."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from relais.chassis.run import Run
from relais.delivery.dispatcher.fleet import Fleet
from relais.delivery.ports import WorkQueue
from relais.eventlog.log import LogUnavailable

GAUGES_SECONDS = 10.0


async def keep_gauges(queue: WorkQueue, fleet: Fleet, connectors: Mapping[str, str], run: Run) -> None:
    """Look for ever. Every replica says the same of the queue, and of broken endpoints its own."""
    while True:
        try:
            backlogs = await queue.backlogs(list(connectors))
        except LogUnavailable:
            # What was said last stays; the database's own signals tell why.
            backlogs = []
        waiting: defaultdict[str, int] = defaultdict(int)
        oldest: dict[str, datetime] = {}
        for backlog in backlogs:
            connector = connectors[backlog.endpoint]
            waiting[connector] += backlog.waiting
            if backlog.oldest is not None:
                oldest[connector] = min(oldest.get(connector, backlog.oldest), backlog.oldest)
        now = run.clock.now()
        for connector, count in waiting.items():
            age_seconds = (now - oldest[connector]).total_seconds() if connector in oldest else 0.0
            run.metrics.gauge("relais_delivery_waiting", connector).set(count)
            run.metrics.gauge("relais_oldest_pending_seconds", connector).set(age_seconds)
        for connector in set(connectors.values()):
            broken = sum(connectors[name] == connector for name in fleet.broken())
            run.metrics.gauge("relais_endpoint_broken", connector).set(broken)
        await run.clock.sleep(GAUGES_SECONDS)
