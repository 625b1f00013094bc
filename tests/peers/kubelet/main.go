// The kubelet's own probers, as a program: it reads URLs and answers with verdicts, a JSON object a line each.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"k8s.io/kubernetes/pkg/probe"
	grpcprobe "k8s.io/kubernetes/pkg/probe/grpc"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"
	tcpprobe "k8s.io/kubernetes/pkg/probe/tcp"
)

type question struct {
	URL     string
	Headers []string // of an HTTP request, each NAME: VALUE
	Timeout float64  // seconds
}

type verdict struct {
	Ready bool
	Why   string
}

func main() {
	answers := json.NewEncoder(os.Stdout)
	questions := bufio.NewScanner(os.Stdin)
	for questions.Scan() {
		var q question
		if err := json.Unmarshal(questions.Bytes(), &q); err != nil {
			log.Fatal(err)
		}
		ready, why := judge(q)
		if err := answers.Encode(verdict{ready, why}); err != nil {
			log.Fatal(err)
		}
	}
}

// judge probes once. The kubelet counts a warning as a success.
func judge(q question) (bool, string) {
	result, why, err := ask(q)
	if err != nil {
		why = err.Error()
	}
	return result == probe.Success || result == probe.Warning, fmt.Sprintf("%s: %s", result, why)
}

func ask(q question) (probe.Result, string, error) {
	timeout := time.Duration(q.Timeout * float64(time.Second))
	target, err := url.Parse(q.URL)
	if err != nil {
		log.Fatal(err)
	}
	port, _ := strconv.Atoi(target.Port())
	switch target.Scheme {
	case "http":
		headers := http.Header{}
		for _, header := range q.Headers {
			name, value, _ := strings.Cut(header, ":")
			headers.Add(name, strings.TrimSpace(value))
		}
		request, err := httpprobe.NewProbeRequest(target, headers)
		if err != nil {
			log.Fatal(err)
		}
		return httpprobe.New(false).Probe(request, timeout)
	case "grpc":
		return grpcprobe.New().Probe(target.Hostname(), strings.TrimPrefix(target.Path, "/"), port, timeout)
	case "tcp":
		return tcpprobe.New().Probe(target.Hostname(), port, timeout)
	}
	log.Fatalf("no prober for %s", q.URL)
	return probe.Unknown, "", nil
}
