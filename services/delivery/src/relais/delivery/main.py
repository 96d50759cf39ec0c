"""Delivery, assembled: schedules what routing plans, carries it to its endpoints, and proves what became of it."""

import random
from importlib import resources
from typing import NoReturn
from uuid import uuid4

from relais.chassis.api.server import Offer
from relais.chassis.config import Config, MigrationConfig
from relais.chassis.foundation import Foundation, migrate_foundation
from relais.chassis.refusal import StartRefused
from relais.chassis.run import Run
from relais.chassis.service import ServiceDefinition, run_service
from relais.delivery.adapters.endpoints_file import HttpsEndpoint, read_endpoints
from relais.delivery.adapters.https.connector import HttpsConnector
from relais.delivery.adapters.work_postgres import PostgresWorkQueue
from relais.delivery.api.refusals import translate
from relais.delivery.api.service import DeliveryAdmin
from relais.delivery.desk import DeliveryDesk, EndpointDesk
from relais.delivery.dispatcher.express import Express, ExpressLog
from relais.delivery.dispatcher.fleet import ENDPOINTS_GROUP, Endpoint, Fleet, endpoint_resource
from relais.delivery.dispatcher.gauges import keep_gauges
from relais.delivery.dispatcher.loading import Loader
from relais.delivery.dispatcher.recorder import Recorder
from relais.delivery.dispatcher.settings import LEASE_MARGIN_SECONDS
from relais.delivery.dispatcher.tools import Tools
from relais.delivery.handlers import CONSUMER, DeliveryParking, PlanHandler
from relais.eventlog.migrations import service_migrations
from relais.transport.leases import RENEW_SECONDS, LeaseKeeper
from relais.transport.leases_postgres import PostgresLeaseStore
from relais.vault.blobs import PostgresBlobStore

LOG = "delivery"
SOURCE = "routing"
# A lease is renewed this often before it is missed: one renewal may fail without a call being held back.
RENEWALS_MISSED_MAXIMUM = 2


async def build(run: Run) -> None:
    """Lay the foundation, call what this replica may call, schedule what is planned, serve."""
    foundation = await Foundation.lay(run, LOG)
    endpoints = _endpoints(run.config)
    queue = PostgresWorkQueue(foundation.pool)
    log = foundation.log(LOG)
    recorder = Recorder(log, run.clock, committed=lambda: foundation.ring(LOG))
    tools = Tools(
        log=log,
        queue=queue,
        loader=Loader(queue, foundation.keys, PostgresBlobStore(foundation.pool), run.clock),
        recorder=recorder,
        clock=run.clock,
        meters=run.metrics,
        chance=random.random,
    )
    fleet = _fleet(foundation, endpoints, tools)
    express = Express(fleet.dispatcher_of, fleet.knows)
    run.spawn("recorder", recorder.run())
    run.spawn("dispatchers", fleet.run())
    run.spawn("delivery-gauges", keep_gauges(queue, fleet, {name: one.settings.connector for name, one in endpoints.items()}, run))
    run.on_drain("dispatchers", fleet.close)
    plans = ExpressLog(log, express)
    foundation.consume(CONSUMER, SOURCE, LOG, PlanHandler(plans, queue, express, run.clock), DeliveryParking(queue), log=plans)
    await foundation.serve([_offer(foundation, queue, fleet, endpoints)], translate)


def _fleet(foundation: Foundation, endpoints: dict[str, HttpsEndpoint], tools: Tools) -> Fleet:
    run = foundation.run
    callable_endpoints = {}
    for name, endpoint in endpoints.items():
        connector = HttpsConnector(endpoint.https, endpoint.keys, run.clock)
        run.on_close(connector.close)
        callable_endpoints[name] = Endpoint(endpoint.settings, connector)
    # These leases must outlast the longest call, so they are longer than those of partitions and kept apart from them.
    longest_seconds = max((one.settings.deadline_seconds for one in endpoints.values()), default=0.0)
    keeper = LeaseKeeper(
        PostgresLeaseStore(foundation.pool, LOG),
        f"{run.config.replica}/{uuid4().hex}",
        run.clock,
        lease_seconds=longest_seconds + LEASE_MARGIN_SECONDS + RENEWALS_MISSED_MAXIMUM * RENEW_SECONDS,
        meters=run.metrics,
    )
    run.on_close(keeper.close)
    run.spawn("leases-endpoints", keeper.run())
    return Fleet(callable_endpoints, keeper.share(ENDPOINTS_GROUP, [endpoint_resource(name) for name in endpoints]), tools)


def _offer(foundation: Foundation, queue: PostgresWorkQueue, fleet: Fleet, endpoints: dict[str, HttpsEndpoint]) -> Offer:
    def committed() -> None:
        foundation.ring(LOG)

    log, clock = foundation.log(LOG), foundation.run.clock
    admin = DeliveryAdmin(
        DeliveryDesk(log, queue, clock, committed, fleet.wake),
        EndpointDesk(log, list(endpoints), committed, fleet.wake),
        {name: one.settings.connector for name, one in endpoints.items()},
        fleet.broken,
        foundation.recorder,
        foundation.pages,
    )
    return admin.offer()


def _endpoints(config: Config) -> dict[str, HttpsEndpoint]:
    if config.endpoints_file is None:
        raise StartRefused("RELAIS_ENDPOINTS_FILE is not set")
    return read_endpoints(config.endpoints_file, config.deployment)


def _check(config: Config) -> None:
    _endpoints(config)


async def migrate(config: MigrationConfig) -> None:
    """Make or update the schemas delivery needs."""
    folder = resources.files("relais.delivery").joinpath("migrations")
    await migrate_foundation(config, [LOG], service_migrations(LOG, folder))


def main() -> NoReturn:
    """`relais-delivery serve | migrate | --check-config`."""
    run_service(ServiceDefinition("delivery", build, migrate, check=_check))
