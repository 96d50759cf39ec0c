"""The two databases of a stack: the record and, apart from it, the wrapped keys; the roles; and what our server is told.

Migrations run as the owner role. Each service logs in with a role of its own, which has exactly what the migrations grant it.
"""

from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from relais.embedded.topology import DATABASE, KEYS_DATABASE, OWNER_ROLE, PRIVACY_ROLE, SERVICES

CONNECTING_ROLES = (*(service.role for service in SERVICES), PRIVACY_ROLE)
ROLES = (OWNER_ROLE, *CONNECTING_ROLES)
CONNECT_TIMEOUT_SECONDS = 10.0

# For 2 cores and 4 GiB or more. Nothing a caller sent may reach the server's log: no parameter, no statement, and (terse) no DETAIL line,
# which quotes the values of a violated key.
SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # Small on purpose: what a document writes is read again within seconds and then hardly ever, so that few buffers, used again while
    # they are still in the processor's cache, beat many (measured: 0.57 ms of CPU per document with 128 MB, 0.63 to 0.76 with 1 GB). The
    # indexes of a large database want more.
    "shared_buffers": "128MB",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "min_wal_size": "512MB",
    "wal_compression": "off",
    # Otherwise each new segment is written full of zeros and synced while every commit waits: a p99 of 87 ms and not of 29 for receipts at
    # 100/s. Segments are used again later, so that this is about the first hours of a server's life.
    "wal_init_zero": "off",
    # What backends write out is on its way to the disk at once. Otherwise the kernel gathers it for half a minute and then writes so much
    # that commits wait behind it: receipts at 100/s after a flood within 27, 27 and 40 ms without this (p99), 19, 23 and 31 with it.
    "backend_flush_after": "512kB",
    "wal_buffers": "16MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "password_encryption": "scram-sha-256",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] %u@%d ",
}


async def prepare_databases(administrator_dsn: str, passwords: Mapping[str, str]) -> None:
    """Make what is missing of the roles and databases, and set the roles' passwords; `passwords` has one for each of `ROLES`."""
    connection = await asyncpg.connect(administrator_dsn, timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        known_roles = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
        for role in ROLES:
            verb = "ALTER" if role in known_roles else "CREATE"
            password = await connection.fetchval("SELECT quote_literal($1)", passwords[role])
            await connection.execute(f"{verb} ROLE {role} LOGIN PASSWORD {password}")
        known_databases = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
        for database in (DATABASE, KEYS_DATABASE):
            if database not in known_databases:
                # The owner of a database can only be a role that its maker belongs to, unless the maker is a superuser.
                await connection.execute(f"GRANT {OWNER_ROLE} TO CURRENT_USER")
                await connection.execute(f"CREATE DATABASE {database} OWNER {OWNER_ROLE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
            await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
            await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {', '.join(CONNECTING_ROLES)}")
    finally:
        await connection.close()


def with_login(dsn: str, user: str, password: str, database: str) -> str:
    """The same server, as another user and on another database."""
    parts = urlsplit(dsn)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password)}@{address}", path=f"/{database}"))
