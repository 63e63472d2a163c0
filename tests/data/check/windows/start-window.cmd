start "LLM" /min cmd /k "llama-server.exe -m D:\m.gguf -c 8k"
start "" llama-server -m D:\n.gguf -c 8192 --port 8081 --mlock
timeout /t 5
