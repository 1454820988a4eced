# A bundle as an image, for clusters that reach nothing but a registry: its init container copies the bundle out and checks it.
#   docker build -f infra/docker/bundle.Dockerfile --build-arg WORKER=rondo-worker:dev -t bundles/looped:1 path/to/bundle
ARG WORKER=rondo-worker:dev
FROM ${WORKER}
COPY --chown=0:0 . /bundle
