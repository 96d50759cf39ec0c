"""Abandoned uploads: bodies that were staged, that no fact names, and that nobody goes on with."""

from typing import Never

import structlog

from relais.clock import Clock
from relais.ingestion.uploads import UPLOAD_LIFETIME
from relais.vault.vault import BlobStore, VaultUnavailable

SWEEP_SECONDS = 600.0

_log = structlog.get_logger("relais.ingestion")


async def sweep_abandoned(blobs: BlobStore, clock: Clock) -> Never:
    """Remove abandoned bodies now and then, until cancelled. Every replica does; the database lets one remove each."""
    while True:
        try:
            removed = await blobs.sweep(UPLOAD_LIFETIME.total_seconds())
            if removed:
                _log.info("vault_swept", count=removed)
        except VaultUnavailable:
            _log.warning("database_lost", seconds=SWEEP_SECONDS)
        await clock.sleep(SWEEP_SECONDS)
