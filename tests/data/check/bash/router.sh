#!/bin/sh
exec llama-server --models-dir /srv/models --models-max 2 --port 8080
