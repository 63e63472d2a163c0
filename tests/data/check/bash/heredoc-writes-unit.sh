#!/bin/bash
# installs llama-server as a service
sudo tee /etc/systemd/system/llm.service >/dev/null <<EOF
[Unit]
Description=llama-server

[Service]
ExecStart=/usr/local/bin/llama-server -m /srv/m.gguf -c 16K --no-mmap
Restart=always
EOF
sudo systemctl enable --now llm
