import static io.netty.handler.codec.http.HttpHeaderNames.CONTENT_LENGTH;

import io.grpc.ServerBuilder;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.stub.StreamObserver;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpServerKeepAliveHandler;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.apache.catalina.startup.Tomcat;

/** An app in Java: Tomcat, Netty, or the health service of grpc-java. It has no handler for SIGTERM. */
class App {
    static final int PORT = 8080;
    static final byte[] BODY = "ok\n".getBytes();

    /** Milliseconds until the answer. */
    static int pause(String text) {
        return text.endsWith("slow") ? 8000 : 0;
    }

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "tomcat" -> tomcat();
            case "netty" -> netty();
            case "grpc" -> ServerBuilder.forPort(PORT).addService(new Health()).build().start().awaitTermination();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    static void tomcat() throws Exception {
        var tomcat = new Tomcat();
        tomcat.setBaseDir(System.getProperty("java.io.tmpdir"));
        tomcat.setPort(PORT);
        tomcat.getConnector();
        var context = tomcat.addContext("", null);
        Tomcat.addServlet(context, "app", new HttpServlet() {
            @Override
            protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
                try {
                    Thread.sleep(pause(request.getRequestURI()));
                } catch (InterruptedException interrupted) {
                    throw new IOException(interrupted);
                }
                response.setContentLength(BODY.length);
                response.getOutputStream().write(BODY);
            }
        });
        context.addServletMappingDecoded("/", "app");
        tomcat.start();
        tomcat.getServer().await();
    }

    static void netty() throws InterruptedException {
        var group = new MultiThreadIoEventLoopGroup(NioIoHandler.newFactory());
        var bootstrap = new ServerBootstrap().group(group).channel(NioServerSocketChannel.class);
        bootstrap.childHandler(new ChannelInitializer<SocketChannel>() {
            @Override
            protected void initChannel(SocketChannel channel) {
                channel.pipeline().addLast(new HttpServerCodec(), new HttpServerKeepAliveHandler(), new Answer());
            }
        });
        bootstrap.bind(PORT).sync().channel().closeFuture().sync();
    }

    static class Answer extends SimpleChannelInboundHandler<HttpRequest> {
        @Override
        protected void channelRead0(ChannelHandlerContext context, HttpRequest request) {
            var body = Unpooled.wrappedBuffer(BODY);
            var response = new DefaultFullHttpResponse(request.protocolVersion(), HttpResponseStatus.OK, body);
            response.headers().set(CONTENT_LENGTH, BODY.length);
            context.executor().schedule(() -> context.writeAndFlush(response), pause(request.uri()), TimeUnit.MILLISECONDS);
        }
    }

    static class Health extends HealthGrpc.HealthImplBase {
        @Override
        public void check(HealthCheckRequest request, StreamObserver<HealthCheckResponse> observer) {
            try {
                Thread.sleep(pause(request.getService()));
            } catch (InterruptedException interrupted) {
                throw new IllegalStateException(interrupted);
            }
            observer.onNext(HealthCheckResponse.newBuilder().setStatus(HealthCheckResponse.ServingStatus.SERVING).build());
            observer.onCompleted();
        }
    }
}
