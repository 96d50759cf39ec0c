"""Ingestion, assembled: takes documents in, proves what it received, and says where they are."""

from importlib import resources
from typing import NoReturn

from relais.chassis.config import MigrationConfig
from relais.chassis.foundation import Foundation, migrate_foundation
from relais.chassis.run import Run
from relais.chassis.service import ServiceDefinition, run_service
from relais.eventlog.migrations import service_migrations
from relais.ingestion.adapters.postgres import PostgresJourneys, PostgresUploads
from relais.ingestion.api.refusals import translate
from relais.ingestion.api.service import IngestionService
from relais.ingestion.handlers import Reception
from relais.ingestion.intake import Intake
from relais.ingestion.journeys import JourneysKeeper
from relais.ingestion.sweeping import sweep_abandoned
from relais.ingestion.uploads import UploadDesk
from relais.ingestion.watching import WatchDesk
from relais.vault.blobs import PostgresBlobStore

LOG = "ingestion"
JOURNEYS = "journeys"
SOURCES = ("identity", "routing", "delivery")


async def build(run: Run) -> None:
    """Lay the foundation, take documents in, keep journeys, serve."""
    foundation = await Foundation.lay(run, LOG)
    blobs = PostgresBlobStore(foundation.pool)
    intake = Intake(foundation.log(LOG), foundation.keys, blobs, run.clock, lambda: foundation.ring(LOG))
    reception = Reception(intake, foundation.keys)
    uploads = UploadDesk(intake, foundation.keys, blobs, PostgresUploads(foundation.pool), run.clock, reception.tenant_keys)
    journeys = PostgresJourneys(foundation.pool)
    watching = WatchDesk(journeys, run.clock)
    run.spawn("intake", intake.run())
    run.spawn("watching", watching.run())
    run.spawn("sweeping", sweep_abandoned(blobs, run.clock))
    for source in SOURCES:
        foundation.consume(JOURNEYS, source, LOG, JourneysKeeper())
    service = IngestionService(
        reception, uploads, journeys, watching, foundation.recorder, run.tracing, foundation.pages, foundation.directory
    )
    await foundation.serve([service.offer()], translate)
    run.on_drain("intake", intake.drain)


async def migrate(config: MigrationConfig) -> None:
    """Make or update the schemas ingestion needs."""
    folder = resources.files("relais.ingestion").joinpath("migrations")
    await migrate_foundation(config, [LOG], service_migrations(LOG, folder))


def main() -> NoReturn:
    """`relais-ingestion serve | migrate | --check-config`."""
    run_service(ServiceDefinition("ingestion", build, migrate))
