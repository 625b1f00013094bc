// An app in Go: net/http with a stream of events, or grpc-go's health service. It has no handler for SIGTERM.
package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const slow = 8 * time.Second

func main() {
	kind, address := os.Args[1], os.Args[2]
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	if kind == "grpc" {
		server := grpc.NewServer()
		grpc_health_v1.RegisterHealthServer(server, health{})
		log.Fatal(server.Serve(listener))
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	http.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(slow)
		io.WriteString(w, "ok\n")
	})
	http.HandleFunc("/events", events)
	log.Fatal(http.Serve(listener, nil))
}

// Sends an event after every `after`, for as long as `for` says, and then stays silent until the client goes. With no
// `for` it ends after the first.
func events(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	after, _ := time.ParseDuration(query.Get("after"))
	lasts, _ := time.ParseDuration(query.Get("for"))
	w.Header().Set("Content-Type", "text/event-stream")
	w.(http.Flusher).Flush()
	for began := time.Now(); ; {
		time.Sleep(after)
		io.WriteString(w, "data: ok\n\n")
		w.(http.Flusher).Flush()
		if time.Since(began) >= lasts {
			break
		}
	}
	if lasts > 0 {
		<-r.Context().Done()
	}
}

type health struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (health) Check(_ context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if r.Service == "slow" {
		time.Sleep(slow)
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}
