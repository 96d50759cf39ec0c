"""Routing, assembled: says who must receive a document, and why."""

from importlib import resources
from typing import NoReturn

from relais.chassis.config import Config, MigrationConfig
from relais.chassis.foundation import Foundation, migrate_foundation
from relais.chassis.run import Run
from relais.chassis.service import ServiceDefinition, run_service
from relais.eventlog.migrations import service_migrations
from relais.routing.adapters.held import PostgresHeld
from relais.routing.adapters.sites import DirectorySites
from relais.routing.api.refusals import translate
from relais.routing.api.service import RoutingAdminService
from relais.routing.domain.case import Law
from relais.routing.handlers import CONSUMER, RoutingHandler
from relais.routing.held_desk import HeldDesk
from relais.routing.law.addresses import PATIENT_DOMAIN
from relais.routing.law.tables import read_tables
from relais.routing.policy_desk import PolicyDesk

LOG = "routing"
SOURCE = "identity"


async def build(run: Run) -> None:
    """Lay the foundation, route what identity verified, serve the desks."""
    law = law_of(run.config)
    foundation = await Foundation.lay(run, LOG)
    log, keys = foundation.log(LOG), foundation.keys
    sites = DirectorySites(foundation.directory, foundation.registry_read)
    foundation.consume(CONSUMER, SOURCE, LOG, RoutingHandler(log, keys, sites, law, run.clock))

    def ring() -> None:
        foundation.ring(LOG)

    policies = PolicyDesk(log, sites, ring)
    desk = HeldDesk(log, keys, sites, law, run.clock, ring)
    service = RoutingAdminService(policies, desk, PostgresHeld(foundation.pool), law, foundation.recorder, foundation.pages, run.clock)
    await foundation.serve([service.offer()], translate)


def law_of(config: Config) -> Law:
    """The law as this deployment applies it."""
    return Law(read_tables(), config.deployment, frozenset({PATIENT_DOMAIN, *config.patient_domains}))


async def migrate(config: MigrationConfig) -> None:
    """Make or update the schemas routing needs."""
    folder = resources.files("relais.routing").joinpath("migrations")
    await migrate_foundation(config, [LOG], service_migrations(LOG, folder))


def main() -> NoReturn:
    """`relais-routing serve | migrate | --check-config`."""
    run_service(ServiceDefinition("routing", build, migrate))
