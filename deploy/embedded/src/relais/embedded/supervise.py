"""The supervisor as a program of its own, `python -m relais.embedded.supervise`; `relais-embedded up` starts it in the background.

It takes no arguments: the variables of deploy/embedded/README.md say what to start, REPLICAS how many of each service.
"""

import os
import sys

from relais.embedded.configuration import read_configuration
from relais.embedded.launcher import Launcher
from relais.processes.errors import LaunchError
from relais.processes.leash import Leash


def main() -> int:
    """Supervise until told to stop; the exit status."""
    os.umask(0o022)
    try:
        configuration = read_configuration()
        with configuration.state.supervised(), Leash() as leash:
            return Launcher(configuration, leash).run()
    except LaunchError as error:
        sys.stderr.write(f"{error} {error.advice}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
