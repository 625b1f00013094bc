module drain-sleep/tests/cluster/parts/ghz

go 1.26

require github.com/bojand/ghz v0.120.0
