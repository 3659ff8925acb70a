# One static binary in an otherwise empty image.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY adapter adapter
COPY server server
COPY web web
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/antchat ./server \
 && mkdir -p /out/data

FROM scratch
COPY --from=build /out/antchat /antchat
# The store's directory belongs to the user that the server runs as.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV ANTCHAT_DATA_DIR=/data
VOLUME /data
EXPOSE 3000
ENTRYPOINT ["/antchat"]
