// app is the server whose pods the tests delete: work that takes a while, streams, readiness, a drain endpoint and the
// standard gRPC health service, whose calls are work too. It prints what the tests measure: the moment of SIGTERM, and
// when the last request came.
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
	"google.golang.org/grpc/reflection"
)

func main() {
	listen := flag.String("listen", ":8080", "address of the HTTP server")
	listenGRPC := flag.String("grpc", ":9090", "address of the gRPC server")
	closes := flag.Bool("close", false, "once it drains, close each connection after the next answer")
	linger := flag.Duration("linger", 0, "on SIGTERM turn unready, serve for this long, then finish what is open; 0: exit at once")
	ask := flag.String("ask", "", "on SIGTERM, ask for this URL, and exit once it has answered")
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
	mux.HandleFunc("POST /quitquitquit", func(http.ResponseWriter, *http.Request) {
		time.AfterFunc(100*time.Millisecond, func() { os.Exit(0) }) // once it has been answered
	})
	handle := func(pattern string, answer http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			noteRequest()
			if *closes && draining.Load() {
				w.Header().Set("Connection", "close")
			}
			answer(w, r)
		})
	}
	handle("/", work)
	handle("GET /stream", stream)

	// HTTP/2 without TLS, by prior knowledge, beside HTTP/1.1.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: *listen, Handler: mux, Protocols: protocols}
	go func() { log.Print(server.ListenAndServe()) }()

	grpcServer := grpc.NewServer(grpc.UnaryInterceptor(workOfCall))
	grpc_health_v1.RegisterHealthServer(grpcServer, healthServer)
	reflection.Register(grpcServer)
	listener, err := net.Listen("tcp", *listenGRPC)
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(grpcServer.Serve(listener)) }()

	fmt.Println("started")
	<-terminated
	fmt.Println("SIGTERM", time.Now().UTC().Format(time.RFC3339Nano))
	if *ask != "" {
		answer, err := http.Get(*ask)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("answer", answer.Status)
	}
	if *linger > 0 {
		drain()
		time.Sleep(*linger)
		server.Shutdown(context.Background())
		grpcServer.GracefulStop()
	}
	if last := lastRequest.Load(); last != 0 {
		fmt.Println("last request", time.UnixMicro(last).UTC().Format(time.RFC3339Nano))
	}
}

// lastRequest is when the last piece of work was asked for, in microseconds since the epoch.
var lastRequest atomic.Int64

func noteRequest() { lastRequest.Store(time.Now().UnixMicro()) }

// work answers after ?takes=DURATION, 20 ms unless given.
func work(w http.ResponseWriter, r *http.Request) {
	takes, err := time.ParseDuration(r.FormValue("takes"))
	if err != nil {
		takes = 20 * time.Millisecond
	}
	time.Sleep(takes)
	fmt.Fprintln(w, "done")
}

// stream sends a line every second for ?lasts=DURATION.
func stream(w http.ResponseWriter, r *http.Request) {
	lasts, err := time.ParseDuration(r.FormValue("lasts"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(time.Second) {
		fmt.Fprintln(w, "more")
		http.NewResponseController(w).Flush()
	}
}

// workOfCall makes a gRPC call take as long as a request.
func workOfCall(ctx context.Context, request any, _ *grpc.UnaryServerInfo, answer grpc.UnaryHandler) (any, error) {
	noteRequest()
	time.Sleep(20 * time.Millisecond)
	return answer(ctx, request)
}
