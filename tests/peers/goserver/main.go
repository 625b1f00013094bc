// An app in Go: HTTP by net/http or gRPC by grpc-go, which the tests drain.
package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	network, address := "tcp", os.Args[2]
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		log.Fatal(err)
	}
	switch os.Args[1] {
	case "http":
		log.Fatal(http.Serve(listener, handler()))
	case "grpc":
		serveGRPC(listener)
	default:
		log.Fatalf("neither http nor grpc: %s", os.Args[1])
	}
}

func handler() http.Handler {
	var draining atomic.Bool
	drain := func(w http.ResponseWriter, _ *http.Request) { draining.Store(true) }
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
	}

	mux := http.NewServeMux()
	mux.HandleFunc("/ready", text("ok\n"))
	mux.HandleFunc("/down", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusServiceUnavailable) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("POST /drain", drain)
	mux.HandleFunc("GET /drain", drain)
	mux.HandleFunc("POST /drain-with-token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Token") != "secret" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		drain(w, r)
	})
	mux.HandleFunc("POST /drain-and-see-other", func(w http.ResponseWriter, r *http.Request) {
		drain(w, r)
		http.Redirect(w, r, "/down", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /drain-by-redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/drain", http.StatusFound)
	})
	mux.HandleFunc("POST /drain-below/", drain)
	// These two work for a while first, and give up if the client has gone, as handlers do that pass the request's context on.
	mux.HandleFunc("POST /drain-streaming", func(w http.ResponseWriter, r *http.Request) {
		for range 15 {
			io.WriteString(w, "a chunk\n")
			w.(http.Flusher).Flush()
			select {
			case <-time.After(100 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
		drain(w, r)
	})
	mux.HandleFunc("POST /drain-late", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(1500 * time.Millisecond):
			drain(w, r)
		case <-r.Context().Done():
		}
	})
	var seen atomic.Bool
	mux.HandleFunc("POST /drain-if-asked-again", func(w http.ResponseWriter, r *http.Request) {
		if seen.Swap(true) {
			drain(w, r)
		} else {
			http.Error(w, "later", http.StatusServiceUnavailable)
		}
	})
	mux.Handle("/to-ready", http.RedirectHandler("/ready", http.StatusFound))
	mux.Handle("/to-down", http.RedirectHandler("/down", http.StatusMovedPermanently))
	mux.Handle("/to-elsewhere", http.RedirectHandler("http://example.com/", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.HandleFunc("/chunked", func(w http.ResponseWriter, _ *http.Request) {
		for range 5 {
			io.WriteString(w, "a chunk\n")
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/big", text(strings.Repeat("x", 1<<20)))
	mux.HandleFunc("/stall", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "ok\n")
	})
	return mux
}

// slowHealth answers for two services late, as a busy server does.
type slowHealth struct {
	*health.Server
}

func (s slowHealth) Check(ctx context.Context, in *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	switch in.Service {
	case "late":
		time.Sleep(1500 * time.Millisecond)
	case "stuck":
		time.Sleep(10 * time.Second)
	}
	return s.Server.Check(ctx, in)
}

func serveGRPC(listener net.Listener) {
	server := grpc.NewServer()
	status := slowHealth{health.NewServer()}
	healthpb.RegisterHealthServer(server, status)
	for _, service := range []string{"up", "late", "stuck", "a.b/C d%é"} {
		status.SetServingStatus(service, healthpb.HealthCheckResponse_SERVING)
	}
	status.SetServingStatus("down", healthpb.HealthCheckResponse_NOT_SERVING)
	status.SetServingStatus("undecided", healthpb.HealthCheckResponse_UNKNOWN)
	go flap(status.Server)

	// SIGTERM begins the drain, as apps do: unready, later no new calls, the calls in flight to their end. SIGINT stops without a word.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		if <-signals == syscall.SIGTERM {
			status.Shutdown()
			time.Sleep(time.Second)
		}
		server.GracefulStop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

// flap changes the status of a service all the time, so that a stream that watches it speaks.
func flap(status *health.Server) {
	for {
		for _, value := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
			status.SetServingStatus("flapping", value)
			time.Sleep(300 * time.Millisecond)
		}
	}
}
