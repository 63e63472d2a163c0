{ pkgs, ... }:
{
  services.llama-cpp = {
    enable = true;
    model = "/srv/m.gguf";
    extraFlags = [ "-c" "16k" "-ngl" "99" ];
  };
  systemd.services.second = {
    script = ''
      exec ${pkgs.llama-cpp}/bin/llama-server \
        -m /srv/n.gguf --no-mmap
    '';
  };
}
