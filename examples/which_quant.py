"""Which quant to download for a machine, from the header of any one of them: fit, speed and bits per weight.

python examples/which_quant.py
"""

import omniplan

MODEL = "GLM-4.7-Flash-Q8_0"
QUANTS = ("Q6_K", "Q4_K_M", "IQ3_M")


def main() -> None:
    machine = omniplan.load_machine("single-3090")
    found = omniplan.recommend(MODEL, machine, what_if=QUANTS, n_ctx=16384)
    for option in found.options:
        size = f"{option.quant:7} {option.bits_per_weight:5.2f} bits per weight, {option.tensor_bytes / 2**30:6.2f} GiB"
        if option.outcome is None:
            print(f"{size}: {option.why_not}")
            continue
        rate = option.outcome.decode_tokens_per_second.value
        print(f"{size}: {rate:5.1f} tokens/s, {option.outcome.strategy}{', efficient' if option.is_efficient else ''}")


if __name__ == "__main__":
    main()
