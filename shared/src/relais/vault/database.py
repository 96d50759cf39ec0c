"""What the vault's own tables answer, translated once."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from relais.vault.vault import BodyMissing, ChunkConflict, VaultUnavailable

_BODY_NOT_STAGED = "RV001"
_CHUNK_DIFFERS = "RV002"
_AWAY = (
    OSError,  # TimeoutError is one.
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise the vault's errors for the database's. Whatever is not named here is our own mistake and passes."""
    try:
        yield
    except _AWAY as error:
        raise VaultUnavailable(type(error).__name__) from error
    except asyncpg.PostgresError as error:
        if error.sqlstate == _BODY_NOT_STAGED:
            raise BodyMissing("the body is not staged") from None
        if error.sqlstate == _CHUNK_DIFFERS:
            raise ChunkConflict("other bytes are stored under the same number") from None
        raise
