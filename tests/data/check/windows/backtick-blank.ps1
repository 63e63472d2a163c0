& .\llama-server.exe `
  -m a.gguf `
  -c 8192 ` 
  -fa on
