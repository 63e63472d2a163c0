#!/bin/sh
exec llama-server --port 8080
