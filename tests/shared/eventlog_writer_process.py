"""A writer as a process of its own, to be stopped and killed: `python -m tests.shared.eventlog_writer_process DSN HISTORY SEED`.

It prints a line after every batch that was answered, and ends when its standard input ends.
"""

import asyncio
import random
import sys
from pathlib import Path
from uuid import UUID

from relais.eventlog.postgres import PostgresEventLog, open_pool
from relais.eventlog.record import Append
from relais.testing.eventlog_place import append_of, chunk, event
from relais.testing.history import History
from relais.testing.recording import RecordingLog
from tests.shared.eventlog_postgres import LOG


def batch_of(chance: random.Random) -> list[Append]:
    appends = []
    for _ in range(chance.randint(1, 20)):
        stream = f"stream-{chance.randint(1, 15)}"
        given = event(
            stream,
            tenant=f"tenant-{chance.randint(1, 3)}",
            event_id=UUID(int=chance.getrandbits(128)),
            expected=chance.choice([None, None, 0, chance.randint(1, 30)]),
            payload=chance.randbytes(chance.randint(1, 4000)),
        )
        body = (chunk(UUID(int=chance.getrandbits(128)), size=40_000),) if chance.random() < 0.3 else ()
        appends.append(append_of(given, chunks=body))
    return appends


async def write(dsn: str, history_path: Path, seed: str) -> None:
    chance = random.Random(seed)
    loop = asyncio.get_running_loop()
    ended = loop.run_in_executor(None, sys.stdin.read)
    pool = await open_pool(dsn, connections_maximum=2, application="writer")
    history = History(path=history_path)
    log = RecordingLog(PostgresEventLog(pool, LOG), history, f"reader-{seed}")
    after = 0
    while not ended.done():
        await log.append(batch_of(chance))
        for seen in await log.read(after):
            after = seen.position
        print("answered", flush=True)
    await pool.close()
    history.close()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
