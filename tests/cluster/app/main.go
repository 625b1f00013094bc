// app is the server whose pods the tests delete: work that takes a while, readiness, a drain endpoint and the standard
// gRPC health service. It prints the moment of SIGTERM, which is what the tests measure.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	listen := flag.String("listen", ":8080", "address of the HTTP server")
	listenGRPC := flag.String("grpc", ":9090", "address of the gRPC server")
	linger := flag.Duration("linger", 0, "on SIGTERM turn unready, serve for this long, then finish what is open; 0: exit at once")
	flag.Parse()

	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)

	healthServer := health.NewServer()
	var draining atomic.Bool
	drain := func() {
		draining.Store(true)
		healthServer.Shutdown() // NOT_SERVING from now on
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if draining.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("POST /drain", func(http.ResponseWriter, *http.Request) { drain() })
	mux.HandleFunc("GET /", work)

	// HTTP/2 without TLS, by prior knowledge, beside HTTP/1.1.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: *listen, Handler: mux, Protocols: protocols}
	go func() { log.Print(server.ListenAndServe()) }()

	grpcServer := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(grpcServer, healthServer)
	listener, err := net.Listen("tcp", *listenGRPC)
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(grpcServer.Serve(listener)) }()

	fmt.Println("started")
	<-terminated
	fmt.Println("SIGTERM", time.Now().UTC().Format(time.RFC3339Nano))
	if *linger > 0 {
		drain()
		time.Sleep(*linger)
		server.Shutdown(context.Background())
		grpcServer.GracefulStop()
	}
}

// work answers after ?takes=DURATION, 20 ms unless given.
func work(w http.ResponseWriter, r *http.Request) {
	takes, err := time.ParseDuration(r.FormValue("takes"))
	if err != nil {
		takes = 20 * time.Millisecond
	}
	time.Sleep(takes)
	fmt.Fprintln(w, "done")
}
