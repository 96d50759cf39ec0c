"""Which world a deployment lives in; the two never mix (SAFETY 5)."""

from enum import StrEnum


class Deployment(StrEnum):
    """`PRODUCTION` carries real patients and never feeds test identities; `TEST` refuses the hosts of production partners."""

    PRODUCTION = "production"
    TEST = "test"
