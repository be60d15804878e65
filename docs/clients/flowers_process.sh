#!/usr/bin/env bash
# Name many photos with one `flowers stream`: a client for bash, without jq.
#
#     bash flowers_process.sh PHOTO...
#
# One process writes the requests while another reads the answers, so neither can block the other.
# Answers come in the order of the requests: no ids are needed. A child that dies ends it; run it
# again, with `timeout` in front if you need a limit.
set -euo pipefail

json_text() { # as a JSON string; control characters but these are left to `flowers` to refuse
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"} text=${text//$'\n'/\\n} text=${text//$'\t'/\\t} text=${text//$'\r'/\\r}
    printf '"%s"' "$text"
}

requests() {
    local path
    for path; do
        printf '{"path": %s}\n' "$(json_text "$path")"
    done
}

answers() {
    local line path failed=0
    local named='"status": "ok", "label": "([^"]*)".*"confidence": ([0-9.e-]+), "known"'
    local refused='"error": \{"code": "([a-z_]+)"'
    IFS= read -r line || return 3 # the ready line; without it, the child has said why
    for path; do
        IFS= read -r line || { echo "flowers_process: the child died" >&2 && return 1; }
        if [[ $line =~ $named ]]; then
            LC_ALL=C printf '%s: %s %.4f\n' "$path" "${BASH_REMATCH[@]:1:2}"
        elif [[ $line =~ $refused ]]; then
            echo "$path: ${BASH_REMATCH[1]}" >&2
            failed=1
        else
            echo "flowers_process: not an answer: $line" >&2
            return 1
        fi
    done
    return "$failed"
}

requests "$@" | flowers stream --top_k 1 | answers "$@"
