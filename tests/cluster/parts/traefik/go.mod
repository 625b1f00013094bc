module drain-sleep/tests/cluster/parts/traefik

go 1.26

require github.com/traefik/traefik/v3 v3.5.0
