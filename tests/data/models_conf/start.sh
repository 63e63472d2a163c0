#!/usr/bin/env bash
# The start script around models.conf, as its rules are described: section -> .env -> Compose -> llama-server's arguments.
# Prints every section as its id, the number of its arguments, and the arguments, each ended by a zero byte.
declare -A conf
ids=()
while IFS= read -r line || [[ -n $line ]]; do
    line="${line#"${line%%[![:space:]]*}"}"
    line="${line%"${line##*[![:space:]]}"}"
    [[ -z $line || $line == '#'* ]] && continue
    if [[ $line =~ ^\[([a-zA-Z0-9_-]+)\]$ ]]; then
        id=${BASH_REMATCH[1]}
        ids+=("$id")
    elif [[ -n $id && $line == *=* ]]; then
        conf["$id.${line%%=*}"]=${line#*=}
    fi
done <"$1"

for id in "${ids[@]}"; do
    # What reaches .env.
    MODEL=${conf["$id.MODEL"]}
    CTX_SIZE=${conf["$id.CTX_SIZE"]:-131072}
    N_GPU_LAYERS=${conf["$id.N_GPU_LAYERS"]:-auto}
    FIT=${conf["$id.FIT"]:-on}
    FIT_TARGET=${conf["$id.FIT_TARGET"]}
    EXTRA_ARGS=${conf["$id.EXTRA_ARGS"]}

    # What Compose and the container's entry point make of it.
    FLASH_ATTN=1
    FIT_TARGET=${FIT_TARGET:-128,1024}
    ARGS="--model /models/${MODEL} --ctx-size ${CTX_SIZE} --n-gpu-layers ${N_GPU_LAYERS}"
    ARGS="$ARGS --host 0.0.0.0 --port 8080 --split-mode ${SPLIT_MODE:-layer}"
    [[ -n $TENSOR_SPLIT ]] && ARGS="$ARGS --tensor-split $TENSOR_SPLIT"
    ARGS="$ARGS --main-gpu ${MAIN_GPU:-0}"
    [[ $FLASH_ATTN == 1 ]] && ARGS="$ARGS --flash-attn on"
    ARGS="$ARGS --cache-type-k ${KV_CACHE_TYPE_K:-q8_0} --cache-type-v ${KV_CACHE_TYPE_V:-q8_0} --fit ${FIT:-on}"
    [[ -n $FIT_TARGET ]] && ARGS="$ARGS --fit-target $FIT_TARGET"
    [[ -n $FIT_CTX ]] && ARGS="$ARGS --fit-ctx $FIT_CTX"
    ARGS="$ARGS ${EXTRA_ARGS}"
    words=(${ARGS})
    printf '%s\0' "$id" "${#words[@]}" "${words[@]}"
done
