#!/usr/bin/env bash
# Puts a fleet on Cloud Run: a network, a Redis on Memorystore in it, a secret
# with Redis's address, an account that may read only that, and the service.
# What is there already stays as it is, so it can be run again; it ends by
# deploying service.yaml, which has a reason beside each value.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'TEXT'
usage: deploy.sh --project ID --region REGION --image IMAGE [options]

  --name NAME          of the service and of everything around it (antchat)
  --min N              instances that are always there (2)
  --max N              instances at most (100)
  --concurrency N      connections of an instance, up to 1000 (1000)
  --tier TIER          of Redis: standard, with a replica, or basic (standard)
  --memory GIB         of Redis (5)
  --range CIDR         of the subnetwork; by default 10.8.0.0 with four addresses
                       for each instance, which is what Direct VPC egress takes
                       while one revision replaces another
  --connector          reach Redis through a Serverless VPC Access connector
                       instead of Direct VPC egress
  --connector-range CIDR   of the connector, a /28 (10.9.0.0/28)
  --private            do not let everybody call the service
  --dry-run            print every command and run none
TEXT
}
fail() {
  echo "deploy.sh: $*" >&2
  exit 2
}

project='' region='' image='' name=antchat min=2 max=100 concurrency=1000 tier=standard memory=5
range='' connector='' connector_range=10.9.0.0/28 private='' dry=''
value() { [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value"; }
while [ $# -gt 0 ]; do
  case $1 in
    --project | --region | --image | --name | --min | --max | --concurrency | --tier | --memory | --range | --connector-range)
      value "$@"
      key=${1#--}
      printf -v "${key//-/_}" %s "$2"
      shift 2
      ;;
    --connector | --private) printf -v "${1#--}" yes; shift ;;
    --dry-run) dry=yes; shift ;;
    -h | --help) usage; exit 0 ;;
    *) fail "$1 is unknown; --help lists what there is" ;;
  esac
done

matches() { [[ $2 =~ ^$3$ ]] || fail "--$1 ${2:-(nothing)} is not allowed: $4"; }
number() { [[ $2 =~ ^[0-9]{1,6}$ ]] && [ "$2" -ge "$3" ] && [ "$2" -le "$4" ] || fail "--$1 $2 is not allowed: a number from $3 to $4"; }
matches project "$project" '[a-z][a-z0-9-]{4,28}[a-z0-9]' 'a project id'
matches region "$region" '[a-z]+-[a-z]+[0-9]+' 'a region such as europe-west1'
matches image "$image" '[a-z0-9][A-Za-z0-9./:@_-]+' 'an image such as europe-west1-docker.pkg.dev/PROJECT/antchat/antchat:v1'
# A connector's name is the shortest: 25 characters.
matches name "$name" '[a-z][a-z0-9-]{0,18}[a-z0-9]' '2 to 20 of a-z 0-9 -'
matches tier "$tier" '(standard|basic)' 'standard or basic'
number max "$max" 1 1000
number min "$min" 0 "$max"
number concurrency "$concurrency" 2 1000
number memory "$memory" 1 300
if [ -z "$range" ]; then
  bits=32
  while [ $((1 << (32 - bits))) -lt $((4 * max)) ] || [ $bits -gt 26 ]; do bits=$((bits - 1)); done
  range=10.8.0.0/$bits
fi
matches range "$range" '[0-9.]+/[0-9]+' 'such as 10.8.0.0/22'
matches connector-range "$connector_range" '[0-9.]+/28' 'a /28 such as 10.9.0.0/28'

show() { printf '%q ' "$@" | sed 's/ $//'; echo; }
# do_it runs a command, or prints it.
do_it() {
  if [ -n "$dry" ]; then
    show "$@"
  else
    show "$@" >&2
    "$@"
  fi
}
# unless_there CHECK… -- COMMAND… runs the command if the check finds nothing.
unless_there() {
  local check=()
  while [ "$1" != -- ]; do
    check+=("$1")
    shift
  done
  shift
  if [ -z "$dry" ] && "${check[@]}" >/dev/null 2>&1; then
    echo "there already: ${check[*]}" >&2
    return
  fi
  do_it "$@"
}
g=(gcloud --quiet --project "$project")
account=$name@$project.iam.gserviceaccount.com
secret=$name-redis-url

apis=(run.googleapis.com redis.googleapis.com secretmanager.googleapis.com compute.googleapis.com iam.googleapis.com)
[ -z "$connector" ] || apis+=(vpcaccess.googleapis.com)
do_it "${g[@]}" services enable "${apis[@]}"

unless_there "${g[@]}" compute networks describe "$name" -- \
  "${g[@]}" compute networks create "$name" --subnet-mode=custom
if [ -n "$connector" ]; then
  unless_there "${g[@]}" compute networks vpc-access connectors describe "$name" --region="$region" -- \
    "${g[@]}" compute networks vpc-access connectors create "$name" --region="$region" \
    --network="$name" --range="$connector_range" --min-instances=2 --max-instances=10 --machine-type=e2-micro
else
  unless_there "${g[@]}" compute networks subnets describe "$name" --region="$region" -- \
    "${g[@]}" compute networks subnets create "$name" --region="$region" --network="$name" --range="$range" \
    --enable-private-ip-google-access
fi

# noeviction: a full Redis refuses instead of forgetting rooms (its default is
# volatile-lru). A snapshot each hour is for what no replica helps against.
replicas=1
[ "$tier" = standard ] || replicas=0
unless_there "${g[@]}" redis instances describe "$name" --region="$region" -- \
  "${g[@]}" redis instances create "$name" --region="$region" --network="$name" --connect-mode=direct-peering \
  --tier="$tier" --size="$memory" --redis-version=redis_7_2 --enable-auth \
  --redis-config=maxmemory-policy=noeviction --persistence-mode=rdb --rdb-snapshot-period=1h

unless_there "${g[@]}" iam service-accounts describe "$account" -- \
  "${g[@]}" iam service-accounts create "$name" --display-name="$name on Cloud Run"
unless_there "${g[@]}" secrets describe "$secret" -- \
  "${g[@]}" secrets create "$secret" --replication-policy=automatic
do_it "${g[@]}" secrets add-iam-policy-binding "$secret" --member="serviceAccount:$account" \
  --role=roles/secretmanager.secretAccessor

# The password goes from one command to the other: it is in no argument, no
# file and no output.
if [ -n "$dry" ]; then
  show "${g[@]}" redis instances describe "$name" --region="$region" '--format=value(host,port)'
  show "${g[@]}" redis instances get-auth-string "$name" --region="$region" '--format=value(authString)'
  echo "$(show "${g[@]}" secrets versions add "$secret" --data-file=-) # standard input: redis://:PASSWORD@HOST:PORT"
else
  read -r host port < <("${g[@]}" redis instances describe "$name" --region="$region" '--format=value(host,port)') || true
  password=$("${g[@]}" redis instances get-auth-string "$name" --region="$region" '--format=value(authString)')
  [ -n "$host" ] && [ -n "$port" ] && [ -n "$password" ] || { echo "deploy.sh: Redis has no address or no password yet" >&2; exit 1; }
  url=redis://:$password@$host:$port
  if [ "$("${g[@]}" secrets versions access latest --secret="$secret" 2>/dev/null || true)" = "$url" ]; then
    echo "there already: the newest version of $secret" >&2
  else
    show "${g[@]}" secrets versions add "$secret" --data-file=- >&2
    printf %s "$url" | "${g[@]}" secrets versions add "$secret" --data-file=-
  fi
fi

rendered=$(mktemp)
trap 'rm -f "$rendered"' EXIT
edits=(
  -e "s|__NAME__|$name|g" -e "s|__PROJECT__|$project|g" -e "s|__IMAGE__|$image|g" -e "s|__NETWORK__|$name|g"
  -e "s|__MIN__|$min|g" -e "s|__MAX__|$max|g" -e "s|__CONCURRENCY__|$concurrency|g" -e "s|__ACK_REPLICAS__|$replicas|g"
)
[ -z "$connector" ] || edits+=(-e "s|run.googleapis.com/network-interfaces:.*|run.googleapis.com/vpc-access-connector: projects/$project/locations/$region/connectors/$name|")
sed "${edits[@]}" service.yaml >"$rendered"
if [ -n "$dry" ]; then
  echo "$(show "${g[@]}" run services replace service.yaml --region="$region") # filled in:"
  grep -v '^ *#' "$rendered" | sed 's/^/# /'
else
  do_it "${g[@]}" run services replace "$rendered" --region="$region"
fi
if [ -z "$private" ]; then
  do_it "${g[@]}" run services add-iam-policy-binding "$name" --region="$region" --member=allUsers --role=roles/run.invoker
fi
[ -n "$dry" ] || "${g[@]}" run services describe "$name" --region="$region" '--format=value(status.url)'
