"""What the event log's README shows does what it says."""

import ast
import inspect
import re
import types
from pathlib import Path

import relais.eventlog.log

README = Path(relais.eventlog.log.__file__).parent / "README.md"


async def test_the_example_in_the_readme_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        code = compile(block, README.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = types.FunctionType(code, {})()
        if inspect.iscoroutine(running):
            await running
