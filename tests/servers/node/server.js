// An app in Node: HTTP, and a WebSocket that answers each message. It has no handler for SIGTERM.
const { WebSocketServer } = require("ws");

const pause = (text) => (text.endsWith("slow") ? 8000 : 0); // milliseconds

const server = require("node:http").createServer((request, response) => {
  setTimeout(() => response.end("ok\n"), pause(request.url));
});
new WebSocketServer({ server }).on("connection", (socket) => {
  socket.on("message", (message) => setTimeout(() => socket.send(message), pause(message.toString())));
});
server.listen(8080, "0.0.0.0");
