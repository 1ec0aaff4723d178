# The program and nothing else: no shell, no package, no user but a number.
#
#     docker build --build-arg VERSION="$(git describe --tags --dirty)" -t doorbuster:dev .
#     docker run -p 8080:8080 -v doorbuster-data:/data doorbuster:dev
#
# A whole shop of several nodes: deploy/compose. There is no HEALTHCHECK here,
# for what is healthy depends on who asks: an orchestrator asks /livez and
# /readyz over HTTP (docs/operations.md).

FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG COMMIT=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" -o /out/doorbuster ./cmd/doorbuster
# An empty folder, so that a fresh volume belongs to the user below.
RUN mkdir -m 0700 /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/doorbuster /doorbuster
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV DOORBUSTER_DATA=/data \
    DOORBUSTER_LISTEN=:8080 \
    DOORBUSTER_ADMIN_LISTEN=:8081
# Buyers; operators. The second is for a private network only.
EXPOSE 8080 8081
ENTRYPOINT ["/doorbuster"]
CMD ["serve"]
