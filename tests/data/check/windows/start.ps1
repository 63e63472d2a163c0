param(
    [string]$Model = "D:\models\gemma.gguf",
    [int]$Ctx = 8192
)
<# llama-server -m no.gguf -c 9k #>
$env:CUDA_VISIBLE_DEVICES = "0"
$arguments = @(
    "-m", $Model,
    "-c", "$Ctx",
    "-ts", "3,1",      # two cards
    "--no-mmap"
)
if ($args -contains "-fast") { $arguments += "-fa" }
& "$PSScriptRoot\llama-server.exe" @arguments
