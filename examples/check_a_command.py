"""Check a command line with a model and a machine at hand, and show what was found and what it would cost.

python examples/check_a_command.py
"""

import omniplan

MODEL = "GLM-4.7-Flash-Q8_0"
COMMANDS = (
    "-c 131072 -np 1 -ngl 99 -ts 33,15 -b 1024 -ub 1024 --fit off",
    "-c 131072 -np 1 -ngl 99 -ts 33,15 -ctk q8_0 -ctv q8_0 -fa on --fit off",
    "-c 10240 -np 1 -ot exps=CPU",
)


def main() -> None:
    model = omniplan.load_model(MODEL)
    machine = omniplan.load_machine("dual-4090-5070ti")
    for command in COMMANDS:
        report = omniplan.check(command.split(), model=model, machine=machine)
        print(command, "is clean" if report.is_clean else "is not clean")
        for finding in report.findings:
            print(f"    {finding.severity}: {finding.message}")


if __name__ == "__main__":
    main()
