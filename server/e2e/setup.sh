#!/usr/bin/env bash
# Finds what the tests need, and on a Debian machine as root installs by apt
# what is missing and nothing else. Writes what it found to the file that it is
# given, as shell text. If something is missing, it ends with one line that
# names it and says how to get it.
#
#   setup.sh FILE
#
# Tools are taken from PATH, or from:
#   ANTCHAT_TEST_CHROME  a Chromium or Chrome
#   ANTCHAT_TEST_NODE    a Node, 20 or newer
#   ANTCHAT_TEST_REDIS   a redis-server
#   ANTCHAT_TEST_PROMTOOL  Prometheus's promtool
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
root=$(cd ../.. && pwd)
out=${1:?usage: setup.sh FILE}
cache=$root/.cache
mkdir -p "$cache" "$(dirname "$out")"

node_least=20

has() { command -v "$1" >/dev/null 2>&1; }
debian() { [ "$(id -u)" = 0 ] && has apt-get && has dpkg-query; }

# Each finder prints the tool's path, or fails.
find_node() {
  local n version
  for n in "${ANTCHAT_TEST_NODE:-}" "$(command -v node || true)" "$cache"/node/node_modules/node-linux-*/bin/node; do
    if [ -n "$n" ] && [ -x "$n" ] && version=$("$n" -p 'process.versions.node.split(".")[0]' 2>/dev/null) && [ "$version" -ge "$node_least" ]; then
      echo "$n"
      return
    fi
  done
  return 1
}
find_chrome() {
  local c
  if [ -n "${ANTCHAT_TEST_CHROME:-}" ]; then
    [ -x "$ANTCHAT_TEST_CHROME" ] && echo "$ANTCHAT_TEST_CHROME"
    return
  fi
  for c in chromium chromium-browser google-chrome google-chrome-stable; do
    if has "$c"; then
      command -v "$c"
      return
    fi
  done
  c="/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
  [ -x "$c" ] && echo "$c"
}
find_redis() {
  if [ -n "${ANTCHAT_TEST_REDIS:-}" ]; then
    [ -x "$ANTCHAT_TEST_REDIS" ] && echo "$ANTCHAT_TEST_REDIS"
    return
  fi
  command -v redis-server
}
find_promtool() {
  if [ -n "${ANTCHAT_TEST_PROMTOOL:-}" ]; then
    [ -x "$ANTCHAT_TEST_PROMTOOL" ] && echo "$ANTCHAT_TEST_PROMTOOL"
    return
  fi
  command -v promtool
}
# A C compiler, since the race detector needs cgo.
find_cc() {
  local cc
  cc=$(go env CC) && has "${cc%% *}"
}
# Whether a font has a language's letters. Without fontconfig (not Linux) the
# system brings its own.
font() {
  [ "$(uname)" != Linux ] && return 0
  has fc-list && [ -n "$(fc-list ":lang=$1" family)" ]
}

missing=() packages=()
need() { # what, Debian's packages
  missing+=("$1")
  shift
  packages+=("$@")
}
look() {
  missing=() packages=()
  has go || need "Go 1.26 (https://go.dev/dl)"
  if has go && ! find_cc; then need "a C compiler" gcc libc6-dev; fi
  if ! has npm; then need "npm" npm; fi
  if ! find_node >/dev/null; then need "Node $node_least or newer (https://nodejs.org, or set ANTCHAT_TEST_NODE)" nodejs; fi
  if ! find_redis >/dev/null; then need "redis-server (or set ANTCHAT_TEST_REDIS)" redis-server; fi
  if ! find_promtool >/dev/null; then need "promtool (or set ANTCHAT_TEST_PROMTOOL)" prometheus; fi
  if ! has python3; then need "python3" python3; fi
  if ! has haproxy && ! [ -x /usr/sbin/haproxy ]; then need "haproxy" haproxy; fi
  if ! find_chrome >/dev/null; then need "Chromium (or set ANTCHAT_TEST_CHROME)" chromium; fi
  if ! font ko || ! font ja; then need "a CJK font" fontconfig fonts-noto-cjk; fi
  if ! font und-zsye; then need "an emoji font" fontconfig fonts-noto-color-emoji; fi
}

look
if [ ${#packages[@]} -gt 0 ] && debian; then
  # The packages of redis-server and prometheus would start services, which
  # nobody here needs.
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  echo "setup: installing ${packages[*]}"
  if ! { apt-get update -q && apt-get install -q -y --no-install-recommends "${packages[@]}"; } >"$cache/apt.log" 2>&1 </dev/null; then
    tail -n 5 "$cache/apt.log" >&2
    echo "setup: apt-get could not install ${packages[*]}; the whole output is in .cache/apt.log" >&2
    exit 1
  fi
  hash -r
  # Debian 12 has Node 18. npm has every Node, as an ordinary package.
  if ! find_node >/dev/null && has npm && has node; then
    arch=$(node -p process.arch)
    echo "setup: installing Node 22 for the tests, since Debian's is $(node --version)"
    npm install --prefix "$cache/node" --ignore-scripts --no-audit --no-fund --no-save --loglevel=error "node-linux-$arch@22" >"$cache/npm.log" 2>&1 </dev/null || tail -n 5 "$cache/npm.log" >&2
  fi
  look
fi
if [ ${#missing[@]} -gt 0 ]; then
  list=$(printf '%s, ' "${missing[@]}")
  how="install it and try again"
  if [ ${#packages[@]} -gt 0 ] && has apt-get; then
    how="as root: apt-get install ${packages[*]}"
  fi
  echo "setup: missing: ${list%, }; $how" >&2
  exit 1
fi

node=$(find_node)
export PATH="$(dirname "$node"):$PATH"
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "setup: npm ci"
  if ! npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >"$cache/npm.log" 2>&1 </dev/null; then
    tail -n 5 "$cache/npm.log" >&2
    echo "setup: npm ci failed in server/e2e; the whole output is in .cache/npm.log" >&2
    exit 1
  fi
  touch node_modules/.package-lock.json
fi

{
  printf 'export PATH=%q:"$PATH"\n' "$(dirname "$node")"
  printf 'export ANTCHAT_TEST_NODE=%q\n' "$node"
  printf 'export ANTCHAT_TEST_CHROME=%q\n' "$(find_chrome)"
  printf 'export ANTCHAT_TEST_REDIS=%q\n' "$(find_redis)"
  printf 'export ANTCHAT_TEST_PROMTOOL=%q\n' "$(find_promtool)"
} >"$out.new"
mv "$out.new" "$out"
