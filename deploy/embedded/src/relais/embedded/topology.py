"""Who is who on one machine: services, the logs each writes and reads, roles and databases. Rights are made from this one table."""

from dataclasses import dataclass

DATABASE = "relais"
KEYS_DATABASE = "relais_keys"
OWNER_ROLE = "relais_owner"

# Destroys subjects' keys and the bodies they opened; no service logs in with it.
PRIVACY_ROLE = "relais_privacy"


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service: its name and the logs it announces and follows on the bus."""

    name: str
    writes: tuple[str, ...]
    reads: tuple[str, ...]

    @property
    def role(self) -> str:
        """Its role in the database, and its user on the bus."""
        return f"relais_{self.name}"


# Every service follows the registry, which says who may call it; ingestion follows every log, for it keeps the journeys.
SERVICES = (
    Service(name="identity", writes=("identity", "registry"), reads=("ingestion", "identity", "registry")),
    Service(name="ingestion", writes=("ingestion",), reads=("ingestion", "identity", "registry", "routing", "delivery")),
    Service(name="routing", writes=("routing",), reads=("identity", "routing", "registry")),
    Service(name="delivery", writes=("delivery",), reads=("routing", "delivery", "registry")),
)

# What each process of a service listens for; `token` is gRPC for callers without a certificate.
LISTENERS = ("grpc", "token", "health", "metrics")

# Destinations of the sandbox, which a site's policy may name; each has an address and keys of its own.
ENDPOINTS = ("sandbox-one", "sandbox-two", "sandbox-three")


def part_names(replicas: int) -> list[str]:
    """The processes of the services: `ingestion-1`, `ingestion-2` … in the order they are checked."""
    return [f"{service.name}-{replica}" for service in SERVICES for replica in range(1, replicas + 1)]


def port_names(replicas: int) -> list[str]:
    """Everything that listens on TCP."""
    listeners = [f"{part}.{purpose}" for part in part_names(replicas) for purpose in LISTENERS]
    return ["nats", "nats.monitor", "sandbox", "sandbox.control", *listeners]
