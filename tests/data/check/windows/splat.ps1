$p = @{
    FilePath     = "llama-server.exe"
    ArgumentList = @("-m", "a.gguf", "-c", "4k")
    PassThru     = $true
}
$proc = Start-Process @p
Write-Host "llama-server -m is running"
