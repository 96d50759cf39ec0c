"""The registry as routing asks it: the directory that every replica keeps in memory."""

import asyncio

from relais.chassis.access.directory import Directory
from relais.transport.bus import BusUnavailable


class DirectorySites:
    """Sites and groups of the directory. Until the registry was read, nobody can say that a site has no group: asking waits.

    Raises `BusUnavailable` until `registry_read` is set, which a consumer waits out.
    """

    def __init__(self, directory: Directory, registry_read: asyncio.Event) -> None:
        self._directory = directory
        self._registry_read = registry_read

    def group_of(self, tenant: str, site: str) -> str | None:
        self._require_read()
        entry = self._directory.site(tenant, site)
        return entry.group if entry is not None else None

    def has_group(self, tenant: str, group: str) -> bool:
        self._require_read()
        return self._directory.has_group(tenant, group)

    def _require_read(self) -> None:
        if not self._registry_read.is_set():
            raise BusUnavailable("the registry was not read yet")
