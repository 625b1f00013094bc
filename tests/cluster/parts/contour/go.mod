module drain-sleep/tests/cluster/parts/contour

go 1.26

require github.com/projectcontour/contour v1.33.0
