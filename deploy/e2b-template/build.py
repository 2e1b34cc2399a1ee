"""Builds a template of E2B whose Python has exactly the packages of Meterbox's own runtime.

    pip install 'e2b>=2.63,<3'
    E2B_API_KEY=... python deploy/e2b-template/build.py

`--json` prints what would be built, and builds nothing. The list of packages, with the hash of every wheel, is the one that
`meterbox runtime install` uses on this machine: there is no other.
"""

import argparse
import json
from pathlib import Path

from e2b import Template, default_build_logger

NAME = "meterbox"
# What E2B bills for each machine; METERBOX_E2B_SIZE tells Meterbox where it is another.
PROCESSORS = 2
MEMORY_MIB = 2048
# One of those that Meterbox has a list of packages for.
PYTHON = "3.13"
LOCKS = Path(__file__).resolve().parents[2] / "crates" / "local-sandbox" / "locks"
LOCK = f"base-py{PYTHON}.txt"
INSTALL = "pip install --no-cache-dir --disable-pip-version-check --only-binary :all: --require-hashes -r"


def template():
    lock = f"/opt/meterbox/{LOCK}"
    return (
        Template(file_context_path=LOCKS)
        .from_image(f"python:{PYTHON}-slim")
        .copy(LOCK, lock, user="root", mode=0o644)
        .run_cmd(f"{INSTALL} {lock}", user="root")
        # So that the first picture does not wait for a list of fonts.
        .run_cmd("python3 -c 'import matplotlib.font_manager'", user="user")
    )


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--name", default=NAME, help="of the template (default: %(default)s)")
    arguments.add_argument("--json", action="store_true", help="print what would be built, and build nothing")
    given = arguments.parse_args()
    if given.json:
        plan = {"name": given.name, "processors": PROCESSORS, "memory_mib": MEMORY_MIB}
        print(json.dumps({**plan, "template": json.loads(Template.to_json(template()))}, indent=2))
        return
    Template.build(
        template(),
        given.name,
        cpu_count=PROCESSORS,
        memory_mb=MEMORY_MIB,
        on_build_logs=default_build_logger(),
    )
    print(f"Built. Now set METERBOX_E2B_TEMPLATE={given.name} and METERBOX_E2B_SIZE={PROCESSORS}x{MEMORY_MIB}.")


main()
