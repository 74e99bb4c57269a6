# pyinit on top of any image that has Python 3.11 or later:
#     docker build --build-arg BASE_IMAGE=python:3.13-slim -t pyinit .
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
USER root
COPY pyinit /usr/local/lib/pyinit/pyinit
# Make the files readable for every user, whatever the umask of the checkout. Of the base's environment keep only PATH,
# since a PYTHON* variable must not change what is compiled. Everything in this image runs from the compiled file; the
# sources are kept in an archive, for another Python, with the same time each, which makes that smaller.
RUN cd /usr/local/lib/pyinit && chmod -R u=rwX,go=rX . && touch -r pyinit/version.py pyinit pyinit/* pyinit/*/* \
    && env -i PATH="$PATH" python3 -m tarfile -c sources.tar.bz2 pyinit \
    && env -i PATH="$PATH" python3 -B -m pyinit.ctl install /usr/local/bin \
    && mkdir kept && mv pyinit/__init__.py pyinit/launcher.py pyinit/packed.py pyinit/compiled.*.zip kept && rm -r pyinit && mv kept pyinit

# A second stage keeps temporary files of the build out of the layers.
FROM ${BASE_IMAGE}
COPY --from=build /usr/local/lib/pyinit /usr/local/lib/pyinit
COPY --from=build /usr/local/bin/pyinit /usr/local/bin/pyinitctl /usr/local/bin/
LABEL org.opencontainers.image.title="pyinit" \
      org.opencontainers.image.description="A container's PID 1 in Python" \
      org.opencontainers.image.licenses="MIT"
ENTRYPOINT ["pyinit", "--"]
