# No syntax line, heredoc or mount: BuildKit and the classic builder of Debian's docker.io both build it.
#
#   docker build .                       the demo: headcount as PID 1 and five workers under cpus: "2"
#   docker build --target headcount .    only /headcount, to COPY from
#   docker build --target check .        the client that counts the workers from outside
#
# Where no image can be pulled, `cargo xtask image` makes the same: everything from the first
# `FROM scratch` on is taken from this file, and the stage before it is the machine's own toolchain.

ARG RUST=rust:1.95-alpine
FROM ${RUST} AS build
WORKDIR /src
COPY . .
# Naming the target keeps crt-static away from build scripts, so that a Debian based image will do.
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
 && cargo build --locked --target "$target" --profile tiny -p headcount \
 && cargo build --locked --target "$target" --release -p demo -p e2e --bin demo --bin check \
 && mkdir -p /out/run \
 && cp "target/$target/tiny/headcount" "target/$target/release/demo" "target/$target/release/check" /out/

FROM scratch AS headcount
COPY --from=build /out/headcount /headcount
ENTRYPOINT ["/headcount"]

FROM scratch AS check
COPY --from=build /out/check /check
USER 65532:65532
ENTRYPOINT ["/check"]

FROM scratch AS demo
COPY --from=headcount /headcount /headcount
COPY --from=build /out/demo /demo
# A place for the control socket: docker exec CONTAINER /headcount status
COPY --from=build --chown=65532:65532 /out/run/ /run/
USER 65532:65532
EXPOSE 8000
ENTRYPOINT ["/headcount"]
CMD ["run", "--bind", "0.0.0.0:8000", "--", "/demo"]
