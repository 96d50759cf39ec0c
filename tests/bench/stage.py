"""Everything a bench runs on: a whole stack of the product, the sink it delivers to, and a sender registered through the public API."""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from relais.cli.contexts import from_file
from relais.client.client import RelaisClient
from relais.client.errors import Invalid
from relais.client.registry import Credential, Group, Sender, Site, Tenant
from relais.client.routing import EndpointChoice, NewPolicy, Policy
from relais.client.settings import ClientSettings
from relais.demo.cast import Parcel
from relais.demo.establishment import wait_until_known
from relais.embedded.certificates import Authority, Pair
from relais.embedded.documents import DEMO_SENDER, OPERATOR, write_documents
from relais.embedded.keys import Keys
from relais.embedded.parts import postgres_server
from relais.embedded.ports import settle_ports
from relais.embedded.stack import Stack
from relais.embedded.state import StateFolder
from relais.embedded.topology import DATABASE, part_names, port_names
from tests.bench.documents import DESTINATIONS, SITE, TENANT, sample
from tests.bench.processes import Census
from tests.bench.sink_process import Sink, running_sink

SENDER: Final = "his"
GROUP: Final = "group-bench"
KNOWN_SECONDS: Final = 30.0
KNOWN_POLL_SECONDS: Final = 0.1

# Production samples one trace in a hundred (DESIGN: tracing); so does what is measured.
ENVIRONMENT: Final = {"RELAIS_TRACE_SAMPLE": "0.01", "RELAIS_LOG_LEVEL": "info"}


@dataclass(frozen=True)
class Stage:
    """A stack that is up and a sink that listens."""

    stack: Stack
    sink: Sink
    authority: Authority

    @property
    def state(self) -> StateFolder:
        """Where everything of the stack lies."""
        return self.stack.state

    @property
    def intake(self) -> str:
        """Where documents are submitted, with a certificate."""
        return self.stack.report().part("ingestion-1").addresses["grpc"]

    @property
    def sender(self) -> Pair:
        """The sender's certificate."""
        return self.authority.client(DEMO_SENDER)

    def dsn(self, database: str = DATABASE) -> str:
        """A database as its superuser, for looking behind the API."""
        return postgres_server(self.state, Keys(self.state.keys)).dsn(database)

    def census(self, **others: int) -> Census:
        """All processes of the run by part; `others` are those that are not the stack's."""
        report = self.stack.report()
        roots = {part.name: part.pid for part in report.parts if part.pid is not None}
        return Census({**roots, "supervisor": report.supervisor, "sink": self.sink.pid, **others})

    def settings(self, credential: str) -> ClientSettings:
        """How a client gets in as one of the stack's credentials."""
        context = from_file("bench", self.state.configuration / "context.toml")
        return replace(context, tenant=TENANT, credential=credential).settings()


@asynccontextmanager
async def staged(replicas: int) -> AsyncIterator[Stage]:
    """Bring everything up; afterwards take it down and remove it."""
    home = _open_folder()
    stack = Stack(StateFolder(home / "state"))
    state = stack.state
    try:
        state.root.mkdir()
        state.create()
        keys, authority = Keys(state.keys), Authority(state.certificates, datetime.now(UTC))
        write_documents(state, authority, keys, settle_ports(state.ports_file, port_names(replicas)), replicas)
        pair = authority.server("sink")
        async with running_sink(pair.certificate, pair.key, client_authority_file=authority.pair.certificate) as sink:
            _direct_deliveries(state, authority, keys, sink, replicas)
            stack.up(replicas=replicas, environment=ENVIRONMENT)
            stage = Stage(stack, sink, authority)
            await _establish(stage)
            yield stage
            stack.down()
    finally:
        stack.down()
        shutil.rmtree(home, ignore_errors=True)


def _open_folder() -> Path:
    """A folder that every user may enter: Postgres does not run as root."""
    folder = Path(tempfile.mkdtemp(prefix="relais-bench-"))
    folder.chmod(0o755)
    return folder


def _direct_deliveries(state: StateFolder, authority: Authority, keys: Keys, sink: Sink, replicas: int) -> None:
    """Let the dispatchers know the three destinations, all of them behind the one sink."""
    client = authority.client("delivery")
    tables = [
        f"[endpoints.{name}]\n"
        'deployment = "test"\n'
        f"url = {json.dumps(f'https://127.0.0.1:{sink.port}/{name}')}\n"
        f"ca_file = {json.dumps(str(authority.pair.certificate))}\n"
        f"client_certificate_file = {json.dumps(str(client.certificate))}\n"
        f"client_key_file = {json.dumps(str(client.key))}\n"
        f"keys_file = {json.dumps(str(keys.endpoint(name)))}\n"
        for name in DESTINATIONS
    ]
    endpoints = state.configuration / "endpoints-bench.toml"
    endpoints.write_text("\n".join(tables))
    parts = [part for part in part_names(replicas) if part.startswith("delivery")]
    state.environment_file.write_text("".join(f"[{part}]\nRELAIS_ENDPOINTS_FILE = {json.dumps(str(endpoints))}\n" for part in parts))


async def _establish(stage: Stage) -> None:
    """Tenant, group, site, sender, certificate and policy, through the API; then wait until the sender is let in."""
    async with RelaisClient(stage.settings(OPERATOR)) as operator:
        registry = operator.registry
        await registry.register_tenant(Tenant(tenant=TENANT))
        await registry.register_group(Group(group=GROUP))
        await registry.register_site(Site(site=SITE, group=GROUP, finess_ej="990000001", finess_eg="990000027"))
        await registry.register_sender(Sender(sender=SENDER, sites=(SITE,)))
        permissions = ("DOCUMENT_SUBMIT", "DOCUMENT_READ")
        fingerprint = stage.sender.fingerprint()
        await registry.register_credential(Credential(credential=f"x509:{fingerprint}", sender=SENDER, permissions=permissions))
        choices = tuple(
            EndpointChoice(kind="SOFTWARE", connector="https", endpoint=name, type_codes=codes) for name, codes in DESTINATIONS.items()
        )
        draft = await _drafted(operator, NewPolicy(scope=f"site:{SITE}", endpoints=choices))
        await operator.routing.activate_policy(draft.name, draft.etag)
    submission, body = sample(0)
    await wait_until_known(stage.settings(DEMO_SENDER), Parcel(name="probe", submission=submission, body=body))


async def _drafted(operator: RelaisClient, policy: NewPolicy) -> Policy:
    """Create the policy as soon as routing has heard of the site: until then it names a site that is not there."""
    deadline = time.monotonic() + KNOWN_SECONDS
    while True:
        try:
            return await operator.routing.create_policy(policy, str(uuid4()))
        except Invalid:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(KNOWN_POLL_SECONDS)
