#!/usr/bin/env bash
# Links to photos, in a folder for each species: docs/recipes.md tells more.
#
#   sort_photos.sh RESULTS.jsonl FOLDER          says what it would do
#   sort_photos.sh --do RESULTS.jsonl FOLDER     does it
#
# Exit code 1: a photo is gone, or a link can't be made; the others are.
# RESULTS.jsonl comes from `flowers batch`, whose file:// URIs hold any file's name whole. Needs bash 4, jq.
set -euo pipefail

act=no
if [ "${1-}" = --do ]; then
    act=yes
    shift
fi
if [ $# != 2 ]; then
    echo "usage: sort_photos.sh [--do] RESULTS.jsonl FOLDER" >&2
    exit 2
fi
case $2 in
    /*) folder=$2 ;;
    *) folder=./$2 ;; # so that no name begins with a dash
esac

# One line a photo: its URI, and the name of its folder, which must not lead elsewhere.
# shellcheck disable=SC2016  # $names is jq's
rows='
    select(.status == "ok" and (.source_uri | startswith("file:///")))
    | [.source_uri, if .known == false then "_not known" else .label end]
    | .[1] |= (gsub("[/\\\\\u0000-\u001f\u007f]"; "_") | sub("^\\."; "_") | if . == "" then "_" else . end)
    | join("\t")
'

failed=0
declare -A taken # what a dry run would have made by now
# Sorted, so that every run gives a photo the same name.
jq -r "$rows" <"$1" | LC_ALL=C sort | {
    while IFS=$'\t' read -r uri species; do
        # %C3%A9 -> the two bytes, whatever they are; %b would take a backslash, but a URI has none.
        path=${uri#file://}
        printf -v photo %b "${path//%/\\x}"
        if ! [ -f "$photo" ]; then
            printf 'gone: %q\n' "$photo" >&2
            failed=1
            continue
        fi
        name=${photo##*/} stem=$name end=
        case $name in
            ?*.*) stem=${name%.*} end=.${name##*.} ;;
        esac
        link=$folder/$species/$name
        # Another photo of this name came first: rose.jpg, rose.2.jpg, rose.3.jpg
        for ((n = 2; ; n++)); do
            [ "$link" -ef "$photo" ] && continue 2 # linked by an earlier run
            [ -e "$link" ] || [ -L "$link" ] || [ "${taken[$link]-}" ] || break
            link=$folder/$species/$stem.$n$end
        done
        taken[$link]=yes
        printf '%q -> %q\n' "$link" "$photo"
        [ $act = no ] || { mkdir -p -- "$folder/$species" && ln -s -- "$photo" "$link"; } || failed=1
    done
    [ $act = yes ] || echo "Nothing was done; --do makes these links." >&2
    exit $failed
}
