"""Attacks the code itself: what the house promises its reader (CONTRIBUTING.md) and no other tool looks at."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PLACES = ("proto", "shared", "services", "deploy", "tests")

MODULE_LINES_MAXIMUM = 299
FUNCTION_LINES_MAXIMUM = 59
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc"}
IMPURE = {"asyncio", "asyncpg", "grpc", "logging", "nats", "os", "random", "secrets", "socket", "structlog", "time"}
TEXT_ENDINGS = {".py", ".pyi", ".md", ".toml", ".yaml", ".yml", ".sql", ".proto", ".json", ".sh", ".in", ".lock", ".csv", ""}

# Written in pieces, for this file is looked at too.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|NotImplemented" + r"Error")
MACHINE_PATH = re.compile(r"(?<![\w.~$}>*-])/(?:wo" + r"rk|ro" + r"ot|tm" + r"p|Us" + r"ers|ho" + r"me/\w+)(?=/|\b)")
ADDRESS = re.compile(r"[a-z][a-z0-9+]*://")


def generated(file: Path) -> bool:
    return "_pb2" in file.name


@cache
def modules() -> tuple[Path, ...]:
    """Every Python module we wrote."""
    found = (file for place in PLACES for file in (PROJECT / place).rglob("*.py"))
    return tuple(sorted(file for file in found if not generated(file) and "__pycache__" not in file.parts))


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def name_of(file: Path) -> str:
    return str(file.relative_to(PROJECT))


def texts() -> Iterator[Path]:
    """Every text file a reader of the repository may open."""
    hidden = (PROJECT / name for name in (".ci", ".github"))
    for root in (*hidden, *(PROJECT / place for place in PLACES)):
        yield from (file for file in root.rglob("*") if file.is_file() and file.suffix in TEXT_ENDINGS and "__pycache__" not in file.parts)
    yield from (file for file in PROJECT.iterdir() if file.is_file() and file.suffix in TEXT_ENDINGS)


def packages() -> list[Path]:
    """The folders below `src/relais` that hold modules."""
    return sorted({file.parent for file in modules() if "src" in file.parts and file.parent.name != "relais"})


def distributions() -> list[Path]:
    return sorted(file.parent for place in PLACES for file in (PROJECT / place).rglob("pyproject.toml"))


def test_a_module_can_be_read_in_one_go() -> None:
    long = {name_of(file): lines for file in modules() if (lines := len(file.read_text().splitlines())) > MODULE_LINES_MAXIMUM}
    assert not long, "split these modules"


def test_a_function_fits_on_a_screen() -> None:
    long = {
        f"{name_of(file)}:{node.lineno} {node.name}": lines
        for file in modules()
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAXIMUM
    }
    assert not long, "split these functions"


def test_a_name_says_what_is_in_it() -> None:
    named = [name_of(file) for file in modules() if {file.stem, file.parent.name} & FORBIDDEN_NAMES]
    assert not named, "these names could hold anything"


def test_every_module_and_package_says_what_it_is_for() -> None:
    silent = [name_of(file) for file in modules() if not ast.get_docstring(tree_of(file))]
    silent += [name_of(folder) for folder in packages() if not (folder / "__init__.py").is_file()]
    assert not silent, "these have no docstring, or are no package"


def test_the_namespace_belongs_to_no_distribution() -> None:
    owners = [name_of(file) for place in PLACES for file in (PROJECT / place).rglob("src/relais/__init__.py")]
    assert not owners, "relais is shared by several distributions and must have no __init__.py"


def test_every_part_tells_its_life() -> None:
    parts = {PROJECT, PROJECT / "tests", *distributions()}
    silent = sorted(name_of(part) for part in parts if not (part / "README.md").is_file())
    assert not silent, "these have no README.md"


def test_nothing_is_left_unfinished() -> None:
    left = [f"{name_of(file)}: {found.group()}" for file in modules() for found in UNFINISHED.finditer(file.read_text())]
    assert not left


def test_no_failure_is_swallowed_whole() -> None:
    swallowed = [
        f"{name_of(file)}:{node.lineno}"
        for file in modules()
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node) and all(isinstance(step, ast.Pass) for step in node.body)
    ]
    assert not swallowed


def catches_everything(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException"))


def test_a_decision_knows_nothing_of_the_world() -> None:
    impure = [
        f"{name_of(file)}:{line} imports {name}"
        for file in modules()
        if "src" in file.parts and (file.stem.startswith("domain") or "domain" in file.parts or "contracts" in file.parts)
        for line, name in imports(file)
        if name.partition(".")[0] in IMPURE
    ]
    assert not impure


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a module imports, wherever in it."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


def test_a_test_neither_sleeps_nor_mocks() -> None:
    found = []
    for file in modules():
        parts = file.relative_to(PROJECT).parts
        # A bench is a program and no test: it paces a load, and pacing is waiting.
        if "tests" not in parts or "bench" in parts:
            continue
        found += [f"{name_of(file)}:{line} imports {name}" for line, name in imports(file) if name.startswith("unittest.mock")]
        found += [
            f"{name_of(file)}:{node.lineno} sleeps" for node in ast.walk(tree_of(file)) if isinstance(node, ast.Call) and sleeps(node)
        ]
    assert not found


def sleeps(call: ast.Call) -> bool:
    """`time.sleep(…)` or `asyncio.sleep(…)` of more than nothing; a clock's own sleep is what the tests move by hand."""
    function = call.func
    if not (isinstance(function, ast.Attribute) and function.attr == "sleep" and isinstance(function.value, ast.Name)):
        return False
    is_nothing = len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
    return function.value.id in ("time", "asyncio") and not is_nothing


def test_no_path_of_a_machine_is_in_the_repository() -> None:
    found = []
    for file in texts():
        text = file.read_text(encoding="utf-8", errors="replace")
        found += [f"{name_of(file)}: {hit.group()}" for hit in MACHINE_PATH.finditer(text)]
    assert not found


def test_no_lock_names_a_host() -> None:
    locks = [PROJECT / "requirements.lock", *PROJECT.glob("*/**/requirements*.lock")]
    assert locks[0].is_file()
    for lock in locks:
        text = lock.read_text()
        assert not ADDRESS.search(text), name_of(lock)
        assert text.count("--hash=sha256:") > text.count("=="), "every package is pinned by hash"


def test_the_lock_holds_what_the_distributions_ask_for() -> None:
    locked = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", (PROJECT / "requirements.lock").read_text(), re.MULTILINE))
    for folder in distributions():
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        wanted = [*project.get("dependencies", []), *(one for extra in project.get("optional-dependencies", {}).values() for one in extra)]
        names = {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower() for requirement in wanted}
        missing = {name for name in names if not name.startswith("relais-")} - locked
        assert not missing, f"{name_of(folder)} asks for what the lock has not: run make lock"


@pytest.mark.parametrize("folder", distributions(), ids=name_of)
def test_a_distribution_asks_for_what_it_imports(folder: Path) -> None:
    """In the common environment any distribution could import another's dependency without saying so."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    wanted = [*project.get("dependencies", []), *(one for extra in project.get("optional-dependencies", {}).values() for one in extra)]
    named = {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower() for requirement in wanted}
    if "relais-shared" in named:
        named |= shared_dependencies()
    third_party = {name.partition(".")[0] for file in modules() if file.is_relative_to(folder / "src") for _, name in imports(file)}
    missing = {top for top in third_party if top in DISTRIBUTION_OF and not DISTRIBUTION_OF[top] & named}
    assert not missing, f"{name_of(folder)} imports these without asking for them"


def shared_dependencies() -> set[str]:
    project = tomllib.loads((PROJECT / "shared" / "pyproject.toml").read_text())["project"]
    return {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower() for requirement in project["dependencies"]}


# Import name → the distributions that bring it, for what is not named alike.
DISTRIBUTION_OF: dict[str, set[str]] = {
    "aiohttp": {"aiohttp"},
    "asyncpg": {"asyncpg"},
    "cryptography": {"cryptography"},
    "grpc": {"grpcio"},
    "grpc_health": {"grpcio-health-checking"},
    "grpc_reflection": {"grpcio-reflection"},
    "grpc_status": {"grpcio-status"},
    "hypothesis": {"hypothesis"},
    "joserfc": {"joserfc"},
    "lxml": {"lxml"},
    "msgspec": {"msgspec"},
    "nats": {"nats-py"},
    "nkeys": {"nkeys"},
    "opentelemetry": {"opentelemetry-sdk", "opentelemetry-api"},
    "prometheus_client": {"prometheus-client"},
    "psutil": {"psutil"},
    "pytest": {"pytest"},
    "rich": {"rich"},
    "stamina": {"stamina"},
    "structlog": {"structlog"},
    "typer": {"typer"},
    "uvloop": {"uvloop"},
    "yaml": {"pyyaml"},
}
