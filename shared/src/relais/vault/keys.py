"""The two key rings: Postgres database `relais_keys` for the product, memory for tests. One suite runs on both.

An erasure takes effect everywhere within SUBJECT_LIFETIME_SECONDS: that is how long any replica may go on with a subject's key
without asking the database again. It does not ask for each key: the database counts what was ever retired or erased, and as long as
that number stands, every key that was read under it is as good as read now. What is not there is asked for in one call, together
with whatever else is wanted by then. Opened keys live in this process's memory for KEPT_SECONDS at most; Python cannot wipe them, and
the tenant's key that opens them lies beside them, so the process is the border.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from relais.clock import Clock
from relais.vault.cache import BatchedCache
from relais.vault.database import translated
from relais.vault.provider import KeyProvider
from relais.vault.tenant import TenantKey, new_tenant_key
from relais.vault.vault import SubjectKey, TenantKeyMissing, VaultError

SUBJECT_LIFETIME_SECONDS = 5.0
# After `retire`, this long until `erase`: one lifetime, and the longest deadline of a call that may still commit under the key.
RETIREMENT_SECONDS = 65.0
KEPT_SECONDS = 600.0
SUBJECTS_CACHED_MAXIMUM = 20_000
TENANTS_CACHED_MAXIMUM = 10_000
KEYS_BATCH_MAXIMUM = 1_000
_ATTEMPTS_MAXIMUM = 3
_FOR_EVER_SECONDS = float("inf")

_Place = tuple[str, bytes]
_Name = tuple[str, UUID]


class _Removals:
    """How many times keys were taken away, at most SUBJECT_LIFETIME_SECONDS ago: the epoch in which a key that was read is still there."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._number = 0

    async def number(self) -> int:
        """The number, from memory or from the database."""
        if self._is_old():
            async with self._asking:
                if self._is_old():
                    await self._ask()
        return self._number

    def _is_old(self) -> bool:
        return self._clock.monotonic() - self._asked_at >= SUBJECT_LIFETIME_SECONDS

    async def _ask(self) -> None:
        # Counted from before the question, as the keys are.
        asked_at = self._clock.monotonic()
        with translated():
            self._number = await self._pool.fetchval("SELECT number FROM keys.removal")
        self._asked_at = asked_at


class PostgresKeyRing:
    """Keys wrapped in Postgres (`schema_keys.sql`). Needs a pool on `relais_keys` and the provider that wraps tenant keys.

    Readers' roles may not make keys: for them an unknown tenant is `TenantKeyMissing`.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", provider: KeyProvider, clock: Clock) -> None:
        self._pool = pool
        self._provider = provider
        self._tenants = BatchedCache(
            self._load_tenants,
            clock,
            lifetime_seconds=_FOR_EVER_SECONDS,
            entries_maximum=TENANTS_CACHED_MAXIMUM,
            batch_maximum=KEYS_BATCH_MAXIMUM,
        )
        removals = _Removals(pool, clock)
        self._by_identity: BatchedCache[_Place, SubjectKey] = BatchedCache(
            self._load_identities,
            clock,
            lifetime_seconds=KEPT_SECONDS,
            entries_maximum=SUBJECTS_CACHED_MAXIMUM,
            batch_maximum=KEYS_BATCH_MAXIMUM,
            epoch=removals.number,
        )
        self._by_name: BatchedCache[_Name, SubjectKey | None] = BatchedCache(
            self._load_names,
            clock,
            lifetime_seconds=KEPT_SECONDS,
            entries_maximum=SUBJECTS_CACHED_MAXIMUM,
            batch_maximum=KEYS_BATCH_MAXIMUM,
            epoch=removals.number,
            absent_seconds=SUBJECT_LIFETIME_SECONDS,
        )

    async def tenant_hmac(self, tenant: str, purpose: str) -> bytes:
        return (await self._tenants.get_many([tenant]))[tenant].hmac_key(purpose)

    async def subjects_for(self, tenant_identities: Sequence[tuple[str, bytes]]) -> list[SubjectKey]:
        tenants = await self._tenants.get_many(tenant for tenant, _ in tenant_identities)
        places = [(tenant, tenants[tenant].identity_index(identity)) for tenant, identity in tenant_identities]
        found = await self._by_identity.get_many(places)
        return [found[place] for place in places]

    async def subjects(self, tenant_subjects: Sequence[tuple[str, UUID]]) -> list[SubjectKey | None]:
        found = await self._by_name.get_many(tenant_subjects)
        return [found[name] for name in tenant_subjects]

    async def retire(self, tenant: str, subject: UUID) -> bool:
        with translated():
            row = await self._pool.fetchrow(
                "UPDATE keys.subject_key SET identity_index = NULL, retired_at = now() WHERE tenant = $1 AND subject = $2"
                " AND retired_at IS NULL RETURNING subject",
                tenant,
                subject,
            )
        self._by_identity.clear()
        return row is not None

    async def erase(self, tenant: str, subject: UUID) -> bool:
        with translated():
            row = await self._pool.fetchrow(
                "DELETE FROM keys.subject_key WHERE tenant = $1 AND subject = $2 RETURNING subject", tenant, subject
            )
        self._by_identity.clear()
        self._by_name.forget((tenant, subject))
        return row is not None

    async def _load_tenants(self, tenants: Sequence[str]) -> dict[str, TenantKey]:
        with translated():
            rows = await self._pool.fetch("SELECT tenant, wrapped FROM keys.tenant_key WHERE tenant = ANY ($1)", tenants)
        wrapped: dict[str, bytes] = {row["tenant"]: row["wrapped"] for row in rows}
        for tenant in tenants:
            if tenant not in wrapped:
                wrapped[tenant] = await self._make_tenant(tenant)
        return {tenant: TenantKey(tenant, await self._provider.unwrap(tenant, wrapped[tenant])) for tenant in tenants}

    async def _make_tenant(self, tenant: str) -> bytes:
        proposed = await self._provider.wrap(tenant, new_tenant_key())
        try:
            with translated():
                stored: bytes = await self._pool.fetchval("SELECT keys.tenant_key_for($1, $2)", tenant, proposed)
        except asyncpg.InsufficientPrivilegeError:
            raise TenantKeyMissing(f"the tenant {tenant!r} has no key yet") from None
        return stored

    async def _load_identities(self, places: Sequence[_Place]) -> dict[_Place, SubjectKey]:
        tenants = await self._tenants.get_many(tenant for tenant, _ in places)
        # Most patients were here before; a key is drawn and wrapped only for those who were not.
        with translated():
            rows = await self._pool.fetch(
                "SELECT k.tenant, k.identity_index, k.subject, k.wrapped FROM unnest($1::text[], $2::bytea[]) AS a (tenant, identity_index)"
                " JOIN keys.subject_key k ON k.tenant = a.tenant AND k.identity_index = a.identity_index",
                [tenant for tenant, _ in places],
                [index for _, index in places],
            )
        found: dict[_Place, SubjectKey] = {
            (row["tenant"], row["identity_index"]): tenants[row["tenant"]].open_subject(row["subject"], row["wrapped"]) for row in rows
        }
        # More than once only when a subject is retired in the very moment between the two statements of the SQL function.
        for _ in range(_ATTEMPTS_MAXIMUM):
            missing = [place for place in places if place not in found]
            if not missing:
                return found
            proposals = [tenants[tenant].new_subject() for tenant, _ in missing]
            with translated():
                rows = await self._pool.fetch(
                    "SELECT tenant, identity_index, subject, wrapped FROM keys.subjects_for($1, $2, $3, $4)",
                    [tenant for tenant, _ in missing],
                    [index for _, index in missing],
                    [subject.subject for subject, _ in proposals],
                    [wrapped for _, wrapped in proposals],
                )
            for row in rows:
                tenant = row["tenant"]
                found[tenant, row["identity_index"]] = tenants[tenant].open_subject(row["subject"], row["wrapped"])
        if len(found) < len(places):
            raise VaultError("subjects were retired as fast as they were made")
        return found

    async def _load_names(self, names: Sequence[_Name]) -> dict[_Name, SubjectKey | None]:
        with translated():
            rows = await self._pool.fetch(
                "SELECT k.tenant, k.subject, k.wrapped FROM unnest($1::text[], $2::uuid[]) AS a (tenant, subject)"
                " JOIN keys.subject_key k ON k.tenant = a.tenant AND k.subject = a.subject",
                [tenant for tenant, _ in names],
                [subject for _, subject in names],
            )
        # Only tenants of subjects that exist: asking for a stranger's must make no key.
        tenants = await self._tenants.get_many({row["tenant"] for row in rows})
        found: dict[_Name, SubjectKey | None] = dict.fromkeys(names)
        for row in rows:
            tenant, subject = row["tenant"], row["subject"]
            found[tenant, subject] = tenants[tenant].open_subject(subject, row["wrapped"])
        return found


class MemoryKeyRing:
    """The same promises without a database; an erasure takes effect at once."""

    def __init__(self) -> None:
        self._tenants: dict[str, TenantKey] = {}
        self._subjects: dict[_Name, SubjectKey] = {}
        self._index: dict[_Place, SubjectKey] = {}

    async def tenant_hmac(self, tenant: str, purpose: str) -> bytes:
        return self._tenant(tenant).hmac_key(purpose)

    async def subjects_for(self, tenant_identities: Sequence[tuple[str, bytes]]) -> list[SubjectKey]:
        return [self._subject_for(tenant, identity) for tenant, identity in tenant_identities]

    async def subjects(self, tenant_subjects: Sequence[tuple[str, UUID]]) -> list[SubjectKey | None]:
        return [self._subjects.get(name) for name in tenant_subjects]

    async def retire(self, tenant: str, subject: UUID) -> bool:
        places = [place for place, key in self._index.items() if place[0] == tenant and key.subject == subject]
        for place in places:
            del self._index[place]
        return bool(places)

    async def erase(self, tenant: str, subject: UUID) -> bool:
        await self.retire(tenant, subject)
        return self._subjects.pop((tenant, subject), None) is not None

    def _tenant(self, tenant: str) -> TenantKey:
        if tenant not in self._tenants:
            self._tenants[tenant] = TenantKey(tenant, new_tenant_key())
        return self._tenants[tenant]

    def _subject_for(self, tenant: str, identity: bytes) -> SubjectKey:
        place = (tenant, self._tenant(tenant).identity_index(identity))
        if place not in self._index:
            subject, _ = self._tenant(tenant).new_subject()
            self._index[place] = self._subjects[tenant, subject.subject] = subject
        return self._index[place]
