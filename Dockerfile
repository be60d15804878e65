# One image for all that runs in the cloud: `flowers serve`, and by other arguments
# `flowers batch` and `flowers trace load`. docs/deployment/install.md#the-image explains it.
FROM python:3.11.14-slim-bookworm AS build
ARG EXTRAS=serve,gcs,bigquery
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY model model
COPY flowers_onnx flowers_onnx
# Another index than PyPI comes by a mounted /etc/pip.conf, so that it stays out of the image.
RUN python -m venv /opt/flowers \
    && /opt/flowers/bin/pip install --no-cache-dir ".[$EXTRAS]" \
    && /opt/flowers/bin/pip uninstall --yes pip setuptools

FROM python:3.11.14-slim-bookworm
COPY --from=build /opt/flowers /opt/flowers
# Where keys are mounted; to make it in time isn't possible where all is read-only.
RUN mkdir -p /etc/flowers/keys
# By number, so that runAsNonRoot can tell; any other will do as well. Nothing is ever written.
USER 10001:10001
# An image whose model can't be loaded is not worth keeping.
RUN ["/opt/flowers/bin/flowers", "info"]
EXPOSE 8080
# Not urllib: that would go by HTTP_PROXY.
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s CMD ["/opt/flowers/bin/python", "-c", "\
import http.client, os, sys\n\
c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT', 8080)), timeout=2)\n\
c.request('GET', '/livez')\n\
sys.exit(c.getresponse().status != 200)"]
# The program is process 1 and hears SIGTERM itself.
ENTRYPOINT ["/opt/flowers/bin/flowers"]
CMD ["serve", "--host", "0.0.0.0", "--auth", "keys", "--keys", "/etc/flowers/keys/keys.json"]
