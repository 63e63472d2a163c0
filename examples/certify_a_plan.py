"""Have a plan counted by llama.cpp itself, before it is loaded and without its machine.

Needs the extra ``certify``; says so where it is not installed.
"""

from __future__ import annotations

import omniplan

MODEL = "GLM-4.7-Flash-Q8_0"


def main() -> None:
    """Print the figures that differ, or that none does."""
    plan = omniplan.plan(MODEL, omniplan.load_machine("dual-4090-5070ti"), n_ctx=65536)
    try:
        found = omniplan.certify(plan, simulate=True)
    except omniplan.InputError as error:
        print(f"not certified here: {error}")
        return
    print(f"counted by {found.source}: {'agrees' if found.agrees else 'differs'}")
    for check in found.checks:
        if check.planned != check.counted:
            print(f"{check.what}: planned {check.planned}, counted {check.counted}")


if __name__ == "__main__":
    main()
