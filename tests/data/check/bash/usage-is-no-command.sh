#!/bin/bash
usage() {
  cat <<EOF
Usage: $0 MODEL
  starts: llama-server -m MODEL -c 8k -fa
EOF
}
[ $# -ge 1 ] || { usage; exit 1; }
echo "starting llama-server -m $1 -c 8k"
exec llama-server -m "$1" -c 8192
