"""Write the golden file of every tag that has none: `python -m tests.contracts.make_golden`. A file that exists is never overwritten.

A golden file holds the bytes that would be stored: every field set, none at its default. From its first release on it stands for all the
facts of that tag in all the logs there are; a class that cannot read it any more has to be mended, never the file.
"""

from pathlib import Path
from typing import Any

import msgspec

from relais.contracts import Fact, encode, tags

GOLDEN = Path(__file__).parent / "golden"


def sample(kind: msgspec.inspect.Type, name: str) -> Any:
    """A value of this type, the same in every run, and not the default."""
    match kind:
        case msgspec.inspect.StructType(cls=cls):
            return sample_struct(cls)
        case msgspec.inspect.EnumType(cls=cls):
            return list(cls)[-1]
        case msgspec.inspect.StrType():
            return f"{name} é"
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.IntType():
            return len(name)
        case msgspec.inspect.BytesType():
            return name.encode()
        case msgspec.inspect.VarTupleType(item_type=item):
            return (sample(item, name), sample(item, f"{name} 2"))
        case msgspec.inspect.UnionType(types=types):
            return next(sample(one, name) for one in types if not isinstance(one, msgspec.inspect.NoneType))
    raise TypeError(f"{name}: no sample for {kind}; teach `sample` this type")


def sample_struct(cls: type[Any]) -> Any:
    """An instance with every field set."""
    described = msgspec.inspect.type_info(cls)
    assert isinstance(described, msgspec.inspect.StructType)
    return cls(**{field.name: sample(field.type, field.name) for field in described.fields})


def make_missing(folder: Path) -> list[str]:
    """Write what is missing; the tags written."""
    made = []
    for tag, cls in sorted(tags().items()):
        path = folder / f"{tag}.json"
        if not path.exists():
            fact: Fact = sample_struct(cls)
            with path.open("xb") as file:
                file.write(encode(fact))
            made.append(tag)
    return made


if __name__ == "__main__":
    for made_tag in make_missing(GOLDEN):
        print(f"made {made_tag}.json")
