"""Why routing refuses what a person or a tool asks."""


class RoutingRefusal(Exception):
    """The root; `code` is for machines, `field` names what is wrong, never a value.

    RoutingRefusal
     +-- NotHeld         there is nothing held under that name
     +-- CannotRelease   what was held cannot be released yet: no policy is active, or the content cannot be read
     +-- Invalid         a field does not have its form
     +-- Unknown         a name that must exist does not
     +-- Changed         the etag is not that of what is there now
     +-- Reused          a request id was used for another request
    """

    code = "REFUSED"

    def __init__(self, field: str) -> None:
        super().__init__(self.code, field)
        self.field = field

    def __str__(self) -> str:
        return f"{self.code} at {self.field}"


class NotHeld(RoutingRefusal):
    """Nothing is held there: it was never held, or somebody decided before."""

    code = "NOT_HELD"


class CannotRelease(RoutingRefusal):
    """What is missing must be put right first."""

    code = "CANNOT_RELEASE"


class Invalid(RoutingRefusal):
    """A field is empty, too long or of another form."""

    code = "INVALID_FIELD"


class Unknown(RoutingRefusal):
    """A field names something that does not exist."""

    code = "NOT_REGISTERED"


class Changed(RoutingRefusal):
    """Somebody else decided in between: read it again and decide again."""

    code = "ETAG_MISMATCH"


class Reused(RoutingRefusal):
    """One request id is one request, for ever."""

    code = "REQUEST_ID_REUSED"
