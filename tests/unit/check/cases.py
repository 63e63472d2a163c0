"""One command or file for each rule that breaks it, and one as near to it as can be that does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DUAL: Final = "dual-4090-5070ti"
GLM8: Final = "GLM-4.7-Flash-Q8_0"
GLM4: Final = "GLM-4.7-Flash-Q4_K_M"
OSS: Final = "gpt-oss-120b-MXFP4_MOE"
SMALL: Final = "Qwen3-0.6B-Q8_0"
LLAMA: Final = "Llama-3.1-8B-Q4_K_M"
R1: Final = "DeepSeek-R1-Q3_K_M"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``bad`` and ``good`` are arguments, or texts of a file called ``file``; ``model`` and ``machine`` are at hand."""

    rule: str
    bad: str
    good: str
    file: str = ""
    model: str = ""
    machine: str = ""


def conf(*lines: str) -> str:
    """A section of models.conf."""
    return "\n".join(("[one]", "MODEL=a.gguf", *lines, ""))


def deployment(tag: str) -> str:
    """A Kubernetes Deployment of one container with an image of llama.cpp."""
    container = f"{{name: a, image: 'ghcr.io/ggml-org/llama.cpp:{tag}', args: [-c, '512', -ngl, '99']}}"
    return f"kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - {container}\n"


ROWS: Final = (
    # Single arguments.
    Row(rule="flag-unknown", file="run.sh", bad="llama-server -m a -c 512 ARGS\n",
        good='llama-server -m a -c 512 "${ARGS[@]}"\n'),
    Row(rule="fork-flag", bad="-c 4096 -np 1 -mla 2 -fmoe", good="-c 4096 -np 1"),
    Row(rule="flag-unknown", file="compose.yaml",
        bad="services:\n  a:\n    image: ghcr.io/ggml-org/llama.cpp:server-b11434\n    command: -m a -fmoe\n",
        good="services:\n  a:\n    image: me/ik_llama.cpp:latest\n    command: -m a -fmoe\n"),
    Row(rule="flag-removed", bad="-c 4096 -np 1 --no-mmap", good="-c 4096 -np 1 --load-mode none"),
    Row(rule="flag-unknown", bad="-c 4096 --n-gpu-layer 9", good="-c 4096 --n-gpu-layers auto"),
    Row(rule="flag-removed", file="compose.yaml",
        bad="services:\n  a:\n    image: ghcr.io/ggml-org/llama.cpp:server-b11434\n    command: -m a --no-mmap\n",
        good="services:\n  a:\n    image: ghcr.io/ggml-org/llama.cpp:server-b4068\n    command: -m a --no-mmap\n"),
    Row(rule="flash-attention-bare", file="run.sh", bad="/opt/llama-b8022/llama-server -m a -fa\n",
        good="docker run ghcr.io/ggml-org/llama.cpp:server-cuda-b4068 -m a -fa\n"),
    Row(rule="ngl-with-fit", file="deployment.yaml",
        bad=deployment("server-cuda"), good=deployment("server-cuda-b4068")),
    Row(rule="flag-unknown", file="run.sh",
        bad="docker run ghcr.io/ggml-org/llama.cpp:server-cuda-b4068 -m a -fa on\n",
        good="docker run ghcr.io/ggml-org/llama.cpp:server-cuda-b6327 -m a -fa on\n"),
    Row(rule="flash-attention-bare", bad="-c 4096 -fa -ctk q8_0", good="-c 4096 -fa on -ctk q8_0"),
    Row(rule="number-with-suffix", bad="-c 8k", good="-c 8192"),
    Row(rule="number-with-suffix", bad="--temp 0.7f -c 512", good="--temp .7 -c 512 --seed -1 -n -1"),
    Row(rule="refused", bad="-c many", good="-c 4096"),
    Row(rule="refused", file="run.sh", bad="llama-server -m a -c many\n", good="llama-server -m a -c ${MANY:-512}\n"),
    Row(rule="refused", bad="-c 512 -ctk q8_0 -ctv f16", good="-c 512 -ot exps=CUDA2", model=GLM8, machine=DUAL),
    Row(rule="refused", bad="-c 512 -mg 2 -sm none", good="-c 512 -mg 1 -sm none", model=SMALL, machine=DUAL),
    # How it is written.
    Row(rule="quotes-in-value", file="run.sh", bad="A=\"-m 'a.gguf' -c 512\"\nllama-server $A\n",
        good="A=(-m 'a.gguf' -c 512)\nllama-server \"${A[@]}\"\n"),
    Row(rule="quotes-in-value", file="p.ini", bad='[a]\nmodel = "a.gguf"\n', good="[a]\nmodel = a.gguf\n"),
    Row(rule="flag-and-value-in-one", file="compose.yaml",
        bad='services:\n  a:\n    image: ghcr.io/ggml-org/llama.cpp:server\n    command: ["-m a", "-c 512"]\n',
        good='services:\n  a:\n    image: ghcr.io/ggml-org/llama.cpp:server\n    command: [-m, a, -c, "512"]\n'),
    Row(rule="command-cut", file="run.sh", bad="llama-server -m a \\\n  # -fa on \\\n  -c 512\n",
        good="llama-server -m a \\\n  -c 512 # -fa on\n"),
    Row(rule="command-cut", file="run.sh", bad="llama-server -m a \\ \n  -c 512\n",
        good="llama-server -m a \n-c 512\n"),
    # Model files.
    Row(rule="model-not-first-part", bad="-m a-00002-of-00003.gguf", good="-m a-00001-of-00003.gguf"),
    Row(rule="loaded-beside", bad="-c 4096 --mmproj p.gguf --fit off", good="-c 4096 --fit off"),
    Row(rule="weights-in-ram", bad="-c 4096 -ngl 20 --fit off", good="-c 4096 -ngl 99 --fit off", model=LLAMA,
        machine=DUAL),
    # What fits.
    Row(rule="does-not-fit", bad="-c 4096 -ngl 99 -sm none --fit off", good="-c 4096 -ngl 99 --fit off", model=GLM8,
        machine=DUAL),
    Row(rule="experts-in-vram", bad="-c 10240 -ngl 99 --fit off", good="-c 10240 -ngl 99 --fit off -cmoe", model=OSS,
        machine=DUAL),
    Row(rule="experts-on-cpu", bad="-c 10240 -np 1 -ot exps=CPU", good="-c 10240 -np 1", model=GLM4, machine=DUAL),
    Row(rule="experts-on-cpu", bad="-c 10240 -np 1 -ngl 99 -ot exps=CPU -ub 512 --fit off",
        good="-c 202752 -np 1 -ngl 99 -ot exps=CPU --fit off", model=GLM8, machine=DUAL),
    Row(rule="experts-on-cpu", bad="-c 10240 -np 1 -cmoe", good="-c 10240 -np 1 -cmoe -sm none -mg 1", model=GLM4,
        machine=DUAL),
    # What "holds" must leave: a context and a tenth, 2,957 MiB here; 3,189 and 2,650 are left.
    Row(rule="experts-on-cpu", bad="-c 71680 -np 1 -cmoe", good="-c 81920 -np 1 -cmoe", model=GLM4,
        machine="single-3090"),
    Row(rule="ngl-with-fit", bad="-c 4096 -ngl 99", good="-c 4096 -ngl 0"),
    Row(rule="ngl-with-fit", bad="-c 4096 -ngl 99 --fit on", good="-c 4096 -ngl auto --fit on"),
    Row(rule="ngl-with-fit", bad="-c 4096 -ngl 99", good="-c 4096 -ngl 99 --fit off"),
    Row(rule="ngl-with-fit", file=".env", bad="LLAMA_ARG_N_GPU_LAYERS=99\nLLAMA_ARG_CTX_SIZE=512\n",
        good="LLAMA_ARG_N_GPU_LAYERS=99\nLLAMA_ARG_CTX_SIZE=512\nLLAMA_ARG_FIT=off\n"),
    Row(rule="overrides-with-fit", bad="-c 4096 -ot exps=CPU --fit on", good="-c 4096 -ot exps=CPU --fit off"),
    Row(rule="overrides-with-fit", bad="-c 4096 -ts 3,1", good="-c 4096 -ts 3,1 --fit off"),
    Row(rule="divided-with-fit", bad="-c 4096 -sm tensor --fit on", good="-c 4096 -sm tensor --fit off"),
    Row(rule="divided-with-fit", bad="-c 4096 -sm tensor -ts 3,1 --fit on", good="-c 4096 -sm layer --fit on"),
    Row(rule="context-unset", bad="-np 4 -no-kvu", good="-np 4 -no-kvu -c 65536", model=GLM4, machine="single-3090"),
    Row(rule="context-unset", bad="-m a.gguf", good="-m a.gguf -c 4096"),
    Row(rule="context-unset", file="run.sh", bad="llama-server -m a\n", good="llama-server --port 8080\n"),
    Row(rule="context-unset", bad="--port 8080", good="--models-preset a.ini --port 8080"),
    Row(rule="context-unset", bad="-m a", good="--version"),
    Row(rule="context-unset", file="run.sh", bad="llama-server -m a\n",
        good="llama-server -m a $ARGS\n"),
    Row(rule="context-unset", file=".env", bad="LLAMA_ARG_N_PARALLEL=1\n", good="HF_TOKEN=x\n"),
    Row(rule="context-unset", bad="-np 4 -no-kvu", good="-np 4 -no-kvu -c 65536", model=LLAMA,
        machine="single-3090"),
    Row(rule="fit-target-for-all", bad="-c 4096 -fitt 512", good="-c 4096 -fitt 256,1024", machine=DUAL),
    Row(rule="fit-target-for-all", bad="-c 4096 -fitt 512", good="-c 4096 -sm none -mg 0 -fitt 512", machine=DUAL),
    # 1 GiB for the screen, and no byte less: 976 and 1,640 MiB are left here.
    Row(rule="display-without-margin", bad="-c 4096 -fitt 128,1023", good="-c 4096 -fitt 128,1024", machine=DUAL),
    Row(rule="display-without-margin", bad="-c 18432 -np 1 -ngl 99 -ts 30,18 --fit off",
        good="-c 18432 -np 1 -ngl 99 -ts 31,17 --fit off", model=GLM8, machine=DUAL),
    # Overrides.
    Row(rule="override-without-split", bad=r"-c 512 -ngl 99 --fit off -ot blk\.[0-9]\.=CUDA0,blk\.1[0-9]\.=CUDA1",
        good=r"-c 512 -ngl 99 --fit off -ot blk\.[0-9]\.=CUDA0,blk\.1[0-9]\.=CUDA1 -ts 10,11"),
    Row(rule="override-without-split",
        bad=r"-c 10240 -np 1 -ngl 99 --fit off -ot blk\.([0-9]|[12][0-9]|3[0-4])\.=CUDA0,blk\.(3[5-9]|4.)\.=CUDA1",
        good=r"-c 10240 -np 1 -ngl 99 --fit off -ts 35,13"
        r" -ot blk\.([0-9]|[12][0-9]|3[0-4])\.=CUDA0,blk\.(3[5-9]|4[0-6])\.=CUDA1",
        model=GLM8, machine=DUAL),
    Row(rule="override-without-split", good=r"-c 131072 -np 1 -ngl 99 --fit off -ot blk\.32\.ffn_(up|down).*=CUDA0",
        bad=r"-c 131072 -np 1 -ngl 99 --fit off -ot blk\.([0-9]|[12][0-9]|3[0-2])\.=CUDA0,blk\.(3[3-9]|4[0-6])\.=CUDA1",
        model=GLM8, machine=DUAL),
    Row(rule="override-matches-nothing", bad=r"-ot blk\.99\.ffn_up_exps=CPU", good=r"-ot blk\.9\.ffn_up_exps=CPU",
        model=GLM8),
    Row(rule="override-shadowed", bad=r"-ot exps=CPU,blk\.3\.ffn_up_exps=CPU", model=GLM8,
        good=r"-ot blk\.3\.ffn_up_exps=CUDA0,exps=CPU"),
    Row(rule="override-shadowed", bad="-ot exps=CPU,attn=CPU,exps=CPU", good="-ot exps=CPU,attn=CPU"),
    Row(rule="override-bare-dot", bad="-ot blk.1.=CPU", good=r"-ot blk\.1\.=CPU"),
    Row(rule="override-bare-dot", bad="-ot blk.(0|1).ffn.=CUDA0", good=r"-ot blk\.(0|1)\.ffn.=CUDA0"),
    Row(rule="override-bare-dot", bad=r"-ot blk.1.ffn=CPU", good=r"-ot blk\.1\.ffn.*exps=CPU"),
    Row(rule="override-layer-prefix", bad=r"-ot blk\.1=CPU", good=r"-ot blk\.1\.=CPU"),
    Row(rule="override-layer-prefix", bad=r"-ot blk\.([0-9]|1[0-6])=CPU", good=r"-ot blk\.([0-9]|1[0-6])\.=CPU"),
    Row(rule="override-layer-prefix", bad=r"-ot blk\.[0-9].*exps=CPU", good=r"-ot blk\.([0-9]|[1-4][0-9]).*exps=CPU",
        model=GLM8),
    Row(rule="override-layer-prefix", bad=r"-ot ^blk\.(1|2).*exps=CPU", good=r"-ot (blk\.1\..*|blk\.2\..*)exps=CPU"),
    Row(rule="override-layer-prefix", bad=r"-ot blk\.4.*exps=CPU", good=r"-ot blk\.\d+.*exps=CPU"),
    Row(rule="override-unused-device", bad="-sm none -mg 0 -ot exps=CUDA1", good="-sm none -mg 1 -ot exps=CUDA1"),
    Row(rule="override-unused-device", bad="-dev CUDA0 -ot exps=CUDA1", good="-ot exps=CUDA1", machine=DUAL),
    Row(rule="ncmoe-counts-dense", bad="-ncmoe 1", good="-ncmoe 0", model=GLM8),
    Row(rule="ncmoe-counts-dense", bad="-ncmoe 4", good="-cmoe", model=GLM8),
    Row(rule="ncmoe-piles-on-last", bad="-c 4096 -ncmoe 20 -ts 3,1", good="-c 4096 -cmoe -ts 3,1"),
    Row(rule="ncmoe-piles-on-last", bad="-c 10240 -np 1 -ngl 99 -ncmoe 24 --fit off",
        good="-c 10240 -np 1 -ngl 99 -ncmoe 24 --fit off -ts 30,7", model=OSS, machine=DUAL),
    Row(rule="cpu-moe-without-experts", bad="-c 512 -cmoe", good="-c 512 -ncffn 3", model=LLAMA),
    # Dividing.
    Row(rule="split-none-with-ts", bad="-sm none -ts 3,1", good="-sm none"),
    Row(rule="split-count", bad="-ts 1", good="-ts 2,1", machine=DUAL),
    Row(rule="split-count", bad="-ts 3,2,1", good="-ts 3,2,1 -sm none", machine=DUAL),
    Row(rule="split-count", bad="-ts 3,2,1", good="-ts 0,0,0", machine=DUAL),
    Row(rule="split-by-nominal-size", bad="-ts 24,16", good="-ts 23.1,12.5", machine=DUAL),
    Row(rule="split-by-nominal-size", bad="-ts 24,16 -sm row", good="-ts 24,16 -sm none", machine=DUAL),
    Row(rule="split-by-nominal-size", bad="-ts 24,16", good="-ts 0,0", machine=DUAL),
    Row(rule="split-rows-on-unequal-gpus", bad="-sm row", good="-sm layer", machine=DUAL),
    Row(rule="split-rows-on-unequal-gpus", bad="-sm tensor", good="-sm none", machine="omni-nps1"),
    Row(rule="split-though-one-gpu-holds", bad="-c 10240 -np 1 -ngl 99 --fit off",
        good="-c 10240 -np 1 -ngl 99 --fit off -sm none", model=GLM4, machine=DUAL),
    Row(rule="visible-devices-count", file="run.sh",
        bad="CUDA_VISIBLE_DEVICES=0 llama-server -m a -c 512 -ts 3,1\n",
        good="CUDA_VISIBLE_DEVICES=1,0 llama-server -m a -c 512 -ts 3,1\n"),
    Row(rule="visible-devices-count", file="run.sh",
        bad="CUDA_VISIBLE_DEVICES=0,1 llama-server -m a -c 512 -sm none -mg 2\n",
        good="CUDA_VISIBLE_DEVICES=$GPUS llama-server -m a -c 512 -sm none -mg 2\n"),
    Row(rule="visible-devices-order", file="run.sh",
        bad="CUDA_VISIBLE_DEVICES=1,0 llama-server -m a -c 512 -ts 75,25\n",
        good="CUDA_VISIBLE_DEVICES=0,1 llama-server -m a -c 512 -ts 75,25\n", machine="omni-nps1"),
    Row(rule="visible-devices-order", file="run.sh",
        bad="CUDA_VISIBLE_DEVICES=1,0 llama-server -m a -c 512 -ts 75,25\n",
        good="CUDA_VISIBLE_DEVICES=1,0 llama-server -m a -c 512 -sm none\n"),
    Row(rule="gpu-order-not-pinned", bad="-ts 3,1", good="-sm layer", machine=DUAL),
    Row(rule="gpu-order-not-pinned", file="run.sh", bad="llama-server -m a -c 512 -ts 3,1\n",
        good="export CUDA_DEVICE_ORDER=PCI_BUS_ID\nllama-server -m a -c 512 -ts 3,1\n"),
    # Cache.
    Row(rule="cache-type-unknown", bad="--cache-type-k f8", good="--cache-type-k q8_0"),
    Row(rule="divided-cache-quantised", file="run.sh",
        bad="/opt/llama-b9014/llama-server -m a -sm tensor -ctk q8_0 -ctv q8_0\n",
        good="/opt/llama-b9756/llama-server -m a -sm tensor -ctk q8_0 -ctv q8_0\n"),
    Row(rule="divided-cache-quantised", file="run.sh",
        bad="/opt/llama-b9445/llama-server -m a -sm tensor -ctv q8_0 -ctk f16\n",
        good="/opt/llama-b9445/llama-server -m a -sm tensor -ctv f16 -ctk f16\n"),
    Row(rule="v-cache-needs-flash-attention", bad="-ctv q8_0 -fa off", good="-ctv q8_0 -fa on"),
    Row(rule="cache-pair-without-kernel", bad="-ctk q8_0", good="-ctk q8_0 -ctv q8_0"),
    Row(rule="cache-pair-without-kernel", bad="-ctk q4_1 -ctv q4_1", good="-ctk q8_0 -ctv q8_0", model=LLAMA),
    Row(rule="cache-of-four-bits", bad="-ctk q4_0 -ctv q4_0", good="-ctk q5_0 -ctv q5_0"),
    Row(rule="context-over-training", bad="-c 262144 -np 1", good="-c 262144 -np 2", model=LLAMA),
    Row(rule="context-over-training", bad="-c 262144 -np 1", good="-c 262144 -np 1 --rope-scaling yarn", model=LLAMA),
    Row(rule="slots", bad="-c 8192", good="-c 8192 -np 1"),
    Row(rule="batch-equals-ubatch", file="run.sh", bad="llama-server -m a -b 512 -ub 512\n",
        good="llama-server -m a -b 512 -ub $UB\n"),
    Row(rule="slots", bad="-c 8192 -np 4", good="-c 2048 -np 1"),
    Row(rule="expert-cache-costs", model=GLM4, machine=DUAL,
        bad="-c 8192 -np 1 -ngl 99 --fit off -cmoe -sm none --moe-cache-mib 1000",
        good="-c 8192 -np 1 -ngl 99 --fit off -cmoe -sm none --moe-cache-mib 1000 --load-mode none"),
    Row(rule="slots-negative", bad="-np -1 -no-kvu", good="-np 4 -no-kvu"),
    # Batches.
    Row(rule="batch-equals-ubatch", bad="-b 2048 -ub 2048", good="-b 2048 -ub 512"),
    Row(rule="batch-equals-ubatch", bad="-b 512 -ub 512", good="-b 512"),
    Row(rule="batch-equals-ubatch", bad="-b 1024 -ub 1024", good="-b 1024 -ub 1024 --embeddings"),
    Row(rule="prompt-cache-unused", bad="-c 512 --embedding -cram 4096", good="-c 512 --embedding -cram 0"),
    Row(rule="embedding-input", bad="--embedding -b 4096", good="--embedding -b 512 -c 512"),
    Row(rule="embedding-input", bad="-c 8192 -np 1 --embedding", good="-c 8192 -np 1 --embedding -b 8192 -ub 8192"),
    Row(rule="embedding-input", bad="-c 4096 -np 4 --rerank", good="-c 2048 -np 4 --rerank"),
    Row(rule="embedding-input", bad="-c 4096 --embedding --pooling mean", good="-c 4096 --embedding --pooling last"),
    Row(rule="ubatch-over-batch", bad="-b 512 -ub 1024", good="-b 2048 -ub 1024"),
    Row(rule="ubatch-raised", bad="-c 131072 -np 1 -ngl 99 -ts 32,16 -ctk q8_0 -ctv q8_0 --fit off -ub 1024",
        good="-c 131072 -np 1 -ngl 99 -ts 32,16 -ctk q8_0 -ctv q8_0 --fit off", model=GLM8, machine=DUAL),
    Row(rule="ubatch-raised", bad="-ub 1024", good="-ub 512"),
    # RAM, threads, nodes.
    Row(rule="prompt-cache-over-ram", bad="-c 4096 -np 1 -cram 65536", good="-c 4096 -np 1 -cram 8192", machine=DUAL),
    Row(rule="prompt-cache-over-ram", bad="-c 4096 -np 1 -ngl 99 -ncmoe 31 --fit off",
        good="-c 4096 -np 1 -ngl 99 -ncmoe 31 --fit off -cram 2048", model=OSS, machine=DUAL),
    Row(rule="tight-without-mmap", bad="-c 4096 -np 1 -ncmoe 33 -cram 0 --load-mode mlock", model=OSS, machine=DUAL,
        good="-c 4096 -np 1 -ncmoe 33 -cram 0 --load-mode mmap"),
    Row(rule="threads-over-cores", bad="-t 16", good="-t 8", machine=DUAL),
    Row(rule="threads-over-cores", file="run.sh", machine="omni-nps4",
        bad="numactl --cpunodebind=0 llama-server -m a -c 512 -t 96\n",
        good="numactl --interleave=all llama-server -m a -c 512 -t 96\n"),
    Row(rule="streams-over-numa-nodes", bad="-c 4096 -ngl 9 --fit off",
        good="-c 4096 -ngl 99 --fit off", model=LLAMA, machine="omni-nps4"),
    Row(rule="membind-too-small", file="run.sh", model=R1, machine="omni-nps4",
        bad="numactl --membind=0 llama-server -m a -c 4096 -ngl 10 -sm none --fit off\n",
        good="numactl --membind=0-3 llama-server -m a -c 4096 -ngl 10 -sm none --fit off\n"),
    Row(rule="membind-too-small", file="run.sh", bad="numactl -m 0 llama-server -m a -c 4096\n",
        good="numactl --interleave=all llama-server -m a -c 4096\n"),
    Row(rule="numa-useless", bad="--numa distribute", good="-c 512", machine="omni-nps1"),
    # Comments.
    Row(rule="comment-architecture", file="models.conf", model=GLM8,
        bad="# Dense model, FIT=on optimizes it.\n" + conf("CTX_SIZE=4096"),
        good="# MoE: 47 layers (1 dense + 46 MoE), 64 experts (4 active + 1 shared)\n" + conf("CTX_SIZE=4096")),
    Row(rule="comment-architecture", file="models.conf", model=LLAMA,
        bad="# MoE, experts on CPU\n" + conf(), good="# Dense, not a MoE\n" + conf()),
    Row(rule="comment-architecture", file="run.sh", model=GLM8,
        bad="# GLM: 61 layers\nllama-server -m a -c 512\n",
        good="# GLM: 47 layers, 33 layers on CUDA0, layers 0-16\n# 20 layers fit\nllama-server -m a -c 512\n"),
    Row(rule="comment-architecture", file="models.conf", model=GLM8,
        bad=conf("DESCRIPTION=dense and compact"), good=conf("DESCRIPTION=compact")),
    Row(rule="comment-size", file="models.conf", model=GLM8,
        bad="# File size ~17 GB\n" + conf(), good="# File size ~32 GB\n" + conf()),
    Row(rule="comment-size", file="models.conf", model=GLM8,
        bad="# weights: 24.1 GiB\n" + conf(), good="# size on CUDA0 21 GiB, KV cache 3.5 GB; file 29.7 GiB\n" + conf()),
    # models.conf and .env.
    Row(rule="conf-key-without-effect", file="models.conf", bad=conf("SPLIT_MODE=none"), good=conf("SPEED=~9 t/s")),
    Row(rule="conf-inline-comment", file="models.conf", bad=conf("CTX_SIZE=4096 # enough"),
        good=conf("# enough", "CTX_SIZE=4096")),
    Row(rule="conf-blanks-around-equals", file="models.conf", bad=conf("FIT = on"), good=conf("FIT=on")),
    Row(rule="conf-quotes", file="models.conf", bad=conf("EXTRA_ARGS=--alias 'a b'"), good=conf("EXTRA_ARGS=--jinja")),
    Row(rule="conf-no-model", file="models.conf", bad="[one]\nFIT=on\n[two]\nMODEL=a\n", good=conf()),
    Row(rule="conf-outside-sections", file="models.conf", bad="FIT=on\n" + conf(), good="# FIT=on\n" + conf()),
    Row(rule="conf-section-twice", file="models.conf", bad=conf() + conf(), good=conf()),
    Row(rule="env-unknown-variable", file=".env", bad="LLAMA_ARG_CONTEXT=512\n", good="LLAMA_ARG_CTX_SIZE=512\n"),
    # Builds and containers.
    Row(rule="image-fixes-gpu-layers", file="Dockerfile", bad="FROM x\nENV CTX=1 N_GPU_LAYERS=99\n",
        good="FROM x\n# ENV N_GPU_LAYERS=99\nENV N_GPU_LAYERS=auto\n"),
    Row(rule="ngl-with-fit", file="compose.yaml",
        bad="services:\n  a:\n    command: llama-server -m a -c 512 --fit on -ngl ${N_GPU_LAYERS:-99}\n",
        good="services:\n  a:\n    command: llama-server -m a -c 512 --fit on -ngl ${N_GPU_LAYERS}\n"),
    Row(rule="cuda-no-vmm", file="Dockerfile", bad="RUN cmake -B build -DGGML_CUDA_NO_VMM=ON\n",
        good="# never -DGGML_CUDA_NO_VMM=ON\nRUN cmake -B build -DGGML_CUDA_NO_VMM=OFF\n"),
    Row(rule="cuda-no-vmm", file="CMakeLists.txt", bad="set(GGML_CUDA_NO_VMM ON)\n", good="set(GGML_CUDA ON)\n"),
    Row(rule="vmm-off-in-log", file="server.log",
        bad="  Device 0: NVIDIA GeForce RTX 4090, compute capability 8.9, VMM: no\n",
        good="  Device 0: AMD Radeon, gfx1201 (0x1201), VMM: no, Wave Size: 32\n"),
    Row(rule="cuda-too-old-for-blackwell", file="Dockerfile",
        bad='FROM nvidia/cuda:12.1.0-devel-ubuntu22.04\nRUN cmake -DCMAKE_CUDA_ARCHITECTURES="89;120" .\n',
        good="FROM nvidia/cuda:12.1.0-devel-ubuntu22.04\nRUN cmake -DCMAKE_CUDA_ARCHITECTURES=89 .\n"),
    Row(rule="cuda-too-old-for-blackwell", file="Dockerfile", machine="omni-nps1",
        bad="FROM nvidia/cuda:12.4.1-devel-ubuntu22.04\n", good="FROM nvidia/cuda:13.0.0-devel-ubuntu24.04\n"),
    Row(rule="gpu-in-gvisor", file="run.sh", bad="docker run --runtime=runsc --gpus all x\n",
        good="docker run --gpus all x\ndocker run y # under runsc\n"),
    Row(rule="exclusive-process", file="run.sh",
        bad="nvidia-smi -c EXCLUSIVE_PROCESS\nllama-server -m a -c 512 &\nllama-server -m b -c 512 &\n",
        good="nvidia-smi -c EXCLUSIVE_PROCESS\nllama-server -m a -c 512\n"),
    Row(rule="servers-too-many", file="run.sh", model=GLM4, machine=DUAL,
        bad="llama-server -m a -c 4096 -np 1 -sm none &\nllama-server -m b -c 4096 -np 1 -sm none --port 2 &\n",
        good="llama-server -m a -c 4096 -np 1 -sm none\nllama-server -m b -c 4096 -np 1 -sm none --port 2\n"),
)  # fmt: skip
