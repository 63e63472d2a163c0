"""Plan two models and write both into one preset file of llama.cpp's router, then one of them for an older build.

python examples/emit_files.py
"""

import omniplan

MODELS = {"glm": "GLM-4.7-Flash-Q8_0", "r1": "DeepSeek-R1-Q4_K_M"}
OLD_BUILD = "b8022"


def main() -> None:
    machine = omniplan.load_machine("omni-nps1")
    plans = {name: omniplan.plan(path, machine, n_ctx=16384) for name, path in MODELS.items()}

    presets = None
    for name, plan in plans.items():
        presets = omniplan.emit(plan, format="preset", section=name, into=presets)
    assert presets is not None
    print("\n".join(line for line in presets.splitlines() if not line.startswith("#")))

    print(f"\nOn {OLD_BUILD}:", omniplan.emit(plans["glm"], llama_cpp=OLD_BUILD).splitlines()[-1])


if __name__ == "__main__":
    main()
