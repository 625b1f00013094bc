# The image that other images copy from, or mount: FROM scratch, one file. For linux/amd64 and linux/arm64,
# and as well for linux/386, linux/arm/v7, linux/ppc64le and linux/riscv64:
#
#     docker build --platform linux/amd64,linux/arm64 --tag example.com/drain-sleep:1 --push .
#
# It is cross-compiled, so no emulator is needed.

# The tag is the toolchain of rust-toolchain.toml. For a base that never changes, pin what
# `docker buildx imagetools inspect` shows: rust:1.95.0-bookworm@sha256:…
FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95.0-bookworm AS build
ARG TARGETARCH
WORKDIR /src
COPY . .
RUN .ci/build "$TARGETARCH" /drain-sleep

# The app and the load of examples/try: docker build --target try
FROM build AS build-try
ARG TARGETARCH
RUN .ci/build "$TARGETARCH" /app app && .ci/build "$TARGETARCH" /load load

FROM scratch AS try
COPY --from=build-try /app /load /
USER 65532:65532
ENTRYPOINT ["/app"]

FROM scratch
LABEL org.opencontainers.image.title="drain-sleep" \
      org.opencontainers.image.description="A preStop hook that sleeps, and ends early once the app has drained" \
      org.opencontainers.image.version="1.0.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /drain-sleep /drain-sleep
USER 65532:65532
ENTRYPOINT ["/drain-sleep"]
