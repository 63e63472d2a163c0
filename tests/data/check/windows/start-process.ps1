$llamaArgs = "-m C:\m\a.gguf -c 16k -np 1"
Start-Process -FilePath "C:\llama.cpp\llama-server.exe" -ArgumentList $llamaArgs -NoNewWindow
Stop-Process -Name llama-server
Get-Process llama-server -ErrorAction SilentlyContinue
