"""Identity, assembled: says whose document it is, and who the organisations are."""

from importlib import resources
from typing import NoReturn
from zoneinfo import available_timezones

from relais.chassis.config import Config, MigrationConfig
from relais.chassis.foundation import Foundation, migrate_foundation
from relais.chassis.run import Run
from relais.chassis.service import ServiceDefinition, run_service
from relais.eventlog.migrations import service_migrations
from relais.identity.adapters.held import PostgresHeld
from relais.identity.adapters.insi import InsiNotConnected
from relais.identity.api.held import IdentityAdminService
from relais.identity.api.refusals import translate
from relais.identity.api.registry import RegistryAdminService
from relais.identity.domain.examination import Rules
from relais.identity.domain.ins import DEFAULT_SEVERITIES, InsRules, Severity
from relais.identity.domain.registry import FRENCH_ZONES
from relais.identity.handlers import CONSUMER, IdentityHandler
from relais.identity.held_desk import HeldDesk
from relais.identity.registry_desk import RegistryDesk

LOG = "identity"
REGISTRY = "registry"
SOURCE = "ingestion"


async def build(run: Run) -> None:
    """Lay the foundation, verify what ingestion received, serve the two desks."""
    foundation = await Foundation.lay(run, LOG, REGISTRY)
    insi = InsiNotConnected()
    rules = rules_of(run.config)
    handler = IdentityHandler(foundation.log(LOG), foundation.keys, insi, rules)
    foundation.consume(CONSUMER, SOURCE, LOG, handler)
    held_desk = HeldDesk(foundation.log(LOG), foundation.keys, insi, rules, lambda: foundation.ring(LOG))
    registry_desk = RegistryDesk(foundation.log(REGISTRY), lambda: foundation.ring(REGISTRY))
    held = IdentityAdminService(held_desk, PostgresHeld(foundation.pool), foundation.recorder, foundation.pages)
    # A machine without a time zone database still knows where hospitals are.
    zones = frozenset(available_timezones()) | FRENCH_ZONES
    registry = RegistryAdminService(registry_desk, foundation.directory, zones, foundation.pages)
    await foundation.serve([held.offer(), registry.offer()], translate)


def rules_of(config: Config) -> Rules:
    """How this deployment checks identities."""
    severities = {**DEFAULT_SEVERITIES, **{oid: Severity(word) for oid, word in config.ins_severities}}
    return Rules(config.deployment, InsRules(severities))


async def migrate(config: MigrationConfig) -> None:
    """Make or update the schemas identity needs."""
    folder = resources.files("relais.identity").joinpath("migrations")
    await migrate_foundation(config, [LOG, REGISTRY], service_migrations(LOG, folder))


def main() -> NoReturn:
    """`relais-identity serve | migrate | --check-config`."""
    run_service(ServiceDefinition("identity", build, migrate))
