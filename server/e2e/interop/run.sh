#!/usr/bin/env bash
# The clients that come from other registries than npm, against the real server:
# the Android/Java client (Maven) and python-socketio (PyPI), each generation
# over each transport; python-socketio's managers, which write to Redis; and the
# documented task in a Celery worker. Needs a JDK 11 or newer with mvn, and python3 with venv.
# What is fetched stays in .cache/interop.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
root=$(cd ../../.. && pwd)
cache=$root/.cache/interop
java_versions=(1.0.2 2.1.2)
python_versions=(4.6.1 5.16.3)
celery_version=5.7.0
# The write-only managers, which publish to Redis: each has a form of its own.
manager_versions=(5.13.0 5.14.0 5.14.2 5.15.1 5.16.3)

missing=()
for tool in go node mvn java python3 curl; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "interop: missing: ${missing[*]} (Debian: apt-get install nodejs maven default-jdk-headless python3-venv curl; Go from https://go.dev/dl)" >&2
  exit 1
fi
if [ ! -d ../node_modules/sio4 ]; then
  echo "interop: the npm packages are missing: run npm ci in server/e2e" >&2
  exit 1
fi

mkdir -p "$cache"
work=$(mktemp -d)
server=
cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

(cd "$root" && go build -o "$work/antchat" ./server)
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
env -u PORT -u REDIS_URL ANTCHAT_HTTP_ADDR=127.0.0.1 ANTCHAT_HTTP_PORT="$port" ANTCHAT_DATA_DIR="$work/data" ANTCHAT_RELAY_EVENTS=file \
  ANTCHAT_ENGINE_PING_INTERVAL=3s ANTCHAT_ENGINE_PING_TIMEOUT=4s \
  "$work/antchat" >"$work/log" 2>&1 &
server=$!
url=http://127.0.0.1:$port
for _ in $(seq 300); do
  curl -fsS -o /dev/null "$url/readyz" 2>/dev/null && break
  sleep 0.1
done
curl -fsS -o /dev/null "$url/readyz" || { cat "$work/log" >&2; exit 1; }

node history.mjs write "$url"
failed=0
check() { # name, way, command
  local name=$1 way=$2
  shift 2
  if "$@" "$url" "$PWD/texts.json" "$way" "$name $way" >"$work/out" 2>&1 && node history.mjs read "$url" "$name $way" >>"$work/out" 2>&1; then
    echo "ok    $name over $way"
  else
    echo "FAIL  $name over $way"
    sed 's/^/      /' "$work/out"
    failed=1
  fi
}

for version in "${java_versions[@]}"; do
  classes=$cache/java-$version
  mvn -q -f java/pom.xml -Dsocketio.version="$version" -DbuildDirectory="$classes" \
    compile dependency:build-classpath -Dmdep.outputFile="$classes/classpath" >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }
  for way in polling websocket upgrade; do
    check "java $version" "$way" java -cp "$classes/classes:$(cat "$classes/classpath")" antchat.Check
  done
done
for version in "${python_versions[@]}"; do
  venv=$cache/python-$version
  if [ ! -e "$venv/done" ]; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "python-socketio[client]==$version" && touch "$venv/done"
  fi
  for way in polling websocket upgrade; do
    check "python $version" "$way" "$venv/bin/python" python/check.py
  done
done
for version in "${manager_versions[@]}"; do
  venv=$cache/managers/$version
  if [ ! -e "$venv/done" ]; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "python-socketio==$version" redis==5.2.1 && touch "$venv/done"
  fi
done
if (cd "$root" && ANTCHAT_TEST_PYTHONS=$cache/managers go test -count=1 -tags interop -run RealPythonManagers -v ./adapter/redis/official ./server/e2e) >"$work/out" 2>&1; then
  echo "ok    python managers ${manager_versions[*]}"
else
  echo "FAIL  python managers"
  sed 's/^/      /' "$work/out"
  failed=1
fi
venv=$cache/celery-$celery_version
if [ ! -e "$venv/done" ]; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "celery[redis]==$celery_version" packaging && touch "$venv/done"
fi
if (cd "$root" && ANTCHAT_TEST_CELERY=$venv go test -count=1 -tags interop -run RealCelery -v ./server/e2e) >"$work/out" 2>&1; then
  echo "ok    python celery $celery_version"
else
  echo "FAIL  python celery $celery_version"
  sed 's/^/      /' "$work/out"
  failed=1
fi
if grep -q -e 'DATA RACE' -e panic "$work/log"; then
  cat "$work/log" >&2
  failed=1
fi
exit $failed
