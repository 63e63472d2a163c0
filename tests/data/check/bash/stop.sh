#!/bin/bash
pkill -f llama-server || true
killall -9 llama-server
docker stop llama-server && docker rm llama-server
command -v llama-server >/dev/null
journalctl -u llama-server -n 50 --no-pager
cp build/bin/llama-server /usr/local/bin/
