#!/bin/bash
llama-server -m "$MODEL" ${MMPROJ:+--mmproj "$MMPROJ"} -c ${CTX:-8192} ${THREADS:+-t $THREADS} $EXTRA_ARGS --port "${PORT:?set PORT}"
