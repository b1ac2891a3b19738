# One image for every part: the command decides which part a container is.
FROM python:3.11-slim AS dashboard
RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm && rm -rf /var/lib/apt/lists/*
WORKDIR /src/nas_service/dashboard/web
COPY nas_service/dashboard/web/package.json nas_service/dashboard/web/package-lock.json ./
RUN npm ci
COPY nas_service/dashboard/web ./
RUN npm run build

FROM python:3.11-slim
WORKDIR /app
COPY pyproject.toml constraints.txt README.md ./
COPY nas_service nas_service
COPY search_spaces search_spaces
COPY workers workers
COPY migrations migrations
COPY --from=dashboard /src/nas_service/dashboard/static nas_service/dashboard/static
RUN pip install --no-cache-dir -c constraints.txt .
RUN useradd --create-home nas && mkdir /data && chown nas /data
USER nas
ENV NAS_HOME=/data RAY_AUTH_MODE=token
CMD ["nas", "serve"]
