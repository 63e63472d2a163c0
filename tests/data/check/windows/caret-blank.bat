llama-server.exe -m a.gguf ^
 -c 8192 ^ 
 -ngl 99
