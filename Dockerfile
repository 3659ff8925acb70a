# One static binary in an otherwise empty image, for amd64 and arm64:
#
#   docker build --build-arg VERSION=$(git describe --tags --always) .
#   docker buildx build --platform linux/amd64,linux/arm64 .
#
# The compiler runs on the builder's own architecture and compiles for the
# other: emulating one would take ten times as long.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY adapter adapter
COPY docs docs
COPY server server
COPY web web
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=unknown
# No path, no time and no random build id: the same sources, Go and version
# give the same bytes.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$VERSION" -o /out/antchat ./server \
 && mkdir -p /out/data

FROM scratch
# Whom rediss:// trusts.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/antchat /antchat
# The embedded store's directory belongs to the user that the server runs as.
# Nothing else is written: run it with a read-only root.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV ANTCHAT_DATA_DIR=/data
VOLUME /data
EXPOSE 3000
# There is no shell and no curl: the binary asks itself. It sees settings in the
# environment, not those given as flags.
HEALTHCHECK --interval=10s --timeout=4s --start-period=10s --retries=3 CMD ["/antchat", "healthcheck"]
ENTRYPOINT ["/antchat"]
