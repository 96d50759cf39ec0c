"""The pieces of CDA the generator writes by hand, each escaped where it is written."""

from html import escape

from relais.contracts.header import Code, Identifier


def attributes(**values: str) -> str:
    """` name="value"` for every value that is not empty; a trailing underscore keeps Python's own words out of the way."""
    return "".join(f' {name.rstrip("_")}="{escape(value)}"' for name, value in values.items() if value)


def identifier(name: str, value: Identifier) -> str:
    """An II: `<name root extension/>`."""
    return f"<{name}{attributes(root=value.root, extension=value.extension)}/>"


def code(name: str, value: Code) -> str:
    """A coded value: `<name code displayName codeSystem/>`."""
    return f"<{name}{attributes(code=value.code, displayName=value.display, codeSystem=value.system)}/>"


def text(name: str, content: str, **values: str) -> str:
    """An element with characters only, and attributes."""
    return f"<{name}{attributes(**values)}>{escape(content, quote=False)}</{name}>"
