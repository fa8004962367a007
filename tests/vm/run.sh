#!/bin/sh
# What the guest does: the images are built, the compose files are run, and containers with several
# limits are counted from outside. Each step ends in one line for tests/vm/main.rs:
#
#   STEP name ok
#   STEP name FAILED       with all the step wrote above it
#
# A failed step does not keep the others from running.
export DOCKER_BUILDKIT=0
failed=0

step() { # NAME COMMAND...
    name=$1
    shift
    if "$@" >/tmp/step.log 2>&1; then
        sed 's/^/  | /' /tmp/step.log
        echo "STEP $name ok"
    else
        sed 's/^/  | /' /tmp/step.log
        echo "STEP $name FAILED"
        failed=1
    fi
}

images() {
    for stage in headcount check demo; do
        case $stage in headcount) tag=headcount ;; *) tag=headcount-$stage ;; esac
        docker build --quiet --target "$stage" --tag "$tag" image || return 1
    done
}

# The processes of a container below its PID 1, counted from outside of it.
count_processes() { # CONTAINER EXPECTED
    first=$(docker inspect --format '{{.State.Pid}}' "$1") || return 1
    left=300
    until count=$(docker top "$1" -eo pid,ppid,args | awk -v first="$first" '$2 == first' | wc -l) &&
        [ "$count" -eq "$2" ]; do
        left=$((left - 1))
        if [ "$left" -le 0 ]; then
            echo "$1: $count worker processes instead of $2"
            docker top "$1" -eo pid,ppid,args
            docker logs "$1"
            return 1
        fi
        sleep 0.2
    done
    docker top "$1" -eo pid,ppid,args
}

# Workers by `docker top`, and by who answers.
workers() { # EXPECTED FLAG...
    expected=$1
    shift
    docker run --detach --name app --network none "$@" headcount-demo &&
        count_processes app "$expected" &&
        docker run --rm --network container:app headcount-check \
            http://127.0.0.1:8000/ --expect "$expected" --timeout 120s
    result=$?
    [ "$result" = 0 ] || docker logs app
    docker rm --force app
    return "$result"
}

limits() {
    json=$(docker run --rm --network none --cpus 2 headcount-demo limits --json) || return 1
    echo "$json"
    for part in '"cgroup":"v2"' '"file":"/sys/fs/cgroup/cpu.max"' '"value":"200000 100000"' '"count":5'; do
        echo "$json" | sed 's/": */":/g' | grep -qF "$part" || { echo "no $part"; return 1; }
    done
}

integration() {
    docker compose -f tests/compose.yaml up --abort-on-container-exit --exit-code-from check
    result=$?
    docker compose -f tests/compose.yaml down --timeout 40
    return "$result"
}

compose() {
    docker compose up --detach || return 1
    app=$(docker compose ps --quiet app)
    count_processes "$app" 5 &&
        image/out/check http://127.0.0.1:8000/ --expect 5 --timeout 120s &&
        docker compose stop &&
        [ "$(docker inspect --format '{{.State.ExitCode}}' "$app")" = 0 ]
    result=$?
    [ "$result" = 0 ] || docker logs "$app"
    docker compose down
    return "$result"
}

# The engine changes the quota of a container that runs; headcount sees it in a read-only mount.
update() {
    docker run --detach --name app --network none --read-only --cpus 0.5 headcount-demo &&
        count_processes app 2 &&
        docker update --cpus 1.5 app &&
        count_processes app 4 &&
        docker update --cpus 1 app &&
        count_processes app 3
    result=$?
    [ "$result" = 0 ] || docker logs app
    docker rm --force app
    return "$result"
}

step images images
step integration integration
step compose compose
step limits limits
step cpus-0.5 workers 2 --cpus 0.5
step cpus-1.5 workers 4 --cpus 1.5
step cpus-2 workers 5 --cpus 2
step cpuset-0-1 workers 5 --cpuset-cpus 0-1
step no-limit workers 17
step update update
exit "$failed"
