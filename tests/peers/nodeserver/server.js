// An app in Node.js: HTTP/1 or HTTP/2 by its own servers, or gRPC by @grpc/grpc-js: `server.js http|http2|grpc ADDRESS`.
"use strict";

const [kind, address] = process.argv.slice(2);
const [, host, port] = address.match(/^(.*):(\d+)$/);

function answer(request, response) {
  const redirects = { "/to-ready": "/ready", "/to-down": "/down", "/to-elsewhere": "http://example.com/", "/loop": "/loop" };
  const target = redirects[request.url];
  switch (request.url) {
    case "/ready":
      return response.end("ok\n");
    case "/chunked":
      response.write("a chunk\n");
      return setTimeout(() => response.end("the last\n"), 50);
    case "/big":
      return response.end("x".repeat(1 << 20));
    case "/stall":
      return response.write("half");
    case "/hints":
      response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      return response.end("ok\n");
    default:
      response.writeHead(target ? 302 : 503, target ? { location: target } : {});
      return response.end();
  }
}

function serveGRPC() {
  const grpc = require("@grpc/grpc-js");
  const { HealthImplementation } = require("grpc-health-check");
  const serving = ["", "up", "late", "stuck", "a.b/C d%é", "flapping"];
  const health = new HealthImplementation(Object.fromEntries(serving.map((service) => [service, "SERVING"])));
  health.setStatus("down", "NOT_SERVING");
  health.setStatus("undecided", "UNKNOWN");

  // Answers for two services late, as a busy server does.
  const delays = { late: 1500, stuck: 10_000 };
  const slow = (methodDescriptor, call) => {
    let service = "";
    return new grpc.ServerInterceptingCall(call, {
      start: (next) => next({
        onReceiveMessage: (message, next) => {
          service = message.service;
          next(message);
        },
        onReceiveMetadata: (metadata, next) => next(metadata),
        onReceiveHalfClose: (next) => next(),
        onCancel: () => {},
      }),
      sendMessage: (message, next) => setTimeout(() => next(message), delays[service] ?? 0),
    });
  };
  const server = new grpc.Server({ interceptors: [slow] });
  health.addToServer(server);
  let value = "SERVING";
  setInterval(() => health.setStatus("flapping", (value = value === "SERVING" ? "NOT_SERVING" : "SERVING")), 300);
  process.on("SIGTERM", () => {
    for (const service of serving) health.setStatus(service, "NOT_SERVING");
    setTimeout(() => server.tryShutdown(() => process.exit()), 1000);
  });
  process.on("SIGINT", () => server.tryShutdown(() => process.exit()));
  server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
  });
}

if (kind === "grpc") serveGRPC();
else require(`node:${kind}`).createServer(answer).listen(Number(port), host.replace(/[[\]]/g, ""));
