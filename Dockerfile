# The image has cattle and the authorities that it trusts, and nothing else:
#     docker run --rm -v "$PWD:/site" -e DIGITALOCEAN_ACCESS_TOKEN IMAGE status
# goreleaser lays out the context: a folder for each platform, and what
# `make extras` copied from the computer that builds.
FROM scratch
ARG TARGETPLATFORM
COPY bin/extras/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY $TARGETPLATFORM/cattle /usr/bin/cattle
USER 65532:65532
WORKDIR /site
ENTRYPOINT ["/usr/bin/cattle"]
