# syntax=docker/dockerfile:1

FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
# What was compiled before is kept between builds, outside of the image.
RUN --mount=type=cache,id=starscreen-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=starscreen-target,target=/src/target \
    cargo build --release --locked --package starscreen \
    && cp target/release/starscreen /usr/local/bin/starscreen

FROM debian:13-slim
# Certificates of the public authorities, for the model's server and the bucket.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 starscreen \
    && useradd --system --uid 10001 --gid 10001 --home-dir /data --shell /usr/sbin/nologin starscreen \
    && install --directory --mode 0700 --owner starscreen --group starscreen /data
COPY --from=build /usr/local/bin/starscreen /usr/local/bin/starscreen
USER 10001
WORKDIR /data
ENV STARSCREEN_DATA_DIR=/data
VOLUME /data
EXPOSE 8000
# Without arguments: every part in one process, embedded, on the container's own address; not without
# STARSCREEN_LISTEN=0.0.0.0:8000 to be reached from outside.
ENTRYPOINT ["starscreen"]
