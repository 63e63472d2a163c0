@echo off
setlocal
set "BIN=C:\AI\llama.cpp\llama-server.exe"
set MODEL=C:\AI\models\q.gguf
set CTX=32k
:: llama-server -c 99k
if "%1"=="cpu" (
  "%BIN%" -m "%MODEL%" -c %CTX% -ngl 0 --port 8080
) else (
  "%BIN%" -m "%MODEL%" -c %CTX% -ngl 99 -fa --port 8080
)
taskkill /F /IM llama-server.exe
