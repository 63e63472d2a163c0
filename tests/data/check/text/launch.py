import subprocess
from pathlib import Path

MODEL = "/models/a.gguf"
# llama-server -c 9k
cmd = [
    "llama-server",
    "--model", MODEL,
    "-c", str(8192),
    "--cache-type-k", "f8",
]
if GPU:
    cmd += ["-ngl", "99", "-fa"]
cmd.append("--no-mmap")
subprocess.Popen(cmd)
subprocess.run("llama-server -m b.gguf -c 4k", shell=True)
print("llama-server -m started")
