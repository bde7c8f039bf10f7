#!/bin/sh
# A copy of backup.sh put in place of nothing:  restore.sh lfi-20261125T120000Z.dump
# The service must not run meanwhile. The schema is brought up to date when the service starts.
set -eu

folder=${BACKUP_FOLDER:-/backups}
study=${STUDY_FOLDER:-/data/study}
dump=$folder/$(basename "${1:?the name of a dump is missing; $folder holds them}")

if [ ! -f "$dump" ]; then
    echo "there is no $dump; there are: $(cd "$folder" && echo ./*.dump)" >&2
    exit 2
fi
tables=$(psql -Atc "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
if [ "$tables" != 0 ]; then
    echo "the database holds $tables tables already; restore into an empty one, nothing is ever overwritten" >&2
    exit 2
fi
if [ -f "${dump%.dump}.tar" ]; then
    mkdir -p "$study"
    chown --reference="${study%/*}" "$study" # this is root; the service is not
    place=$(mktemp -d "$study/.restore-XXXXXX") # on the same disk, so that what was checked is only renamed
    trap 'rm -rf "$place"' EXIT
    tar -C "$place" -xf "${dump%.dump}.tar"
    if [ ! -f "$place/MANIFEST.sha256" ]; then
        echo "note: this copy was made by an older LFI and holds no manifest, so it cannot be checked" >&2
    elif ! (
        cd "$place"
        sha256sum --quiet -c MANIFEST.dump <"$dump" && { [ ! -s MANIFEST.sha256 ] || sha256sum --quiet -c MANIFEST.sha256; }
    ); then
        echo "$dump or its tar is incomplete or damaged; nothing was restored" >&2
        exit 2
    fi
    rm -f "$place/MANIFEST.sha256" "$place/MANIFEST.dump"
    for each in "$place"/*; do
        [ -e "$each" ] || continue
        if [ -e "$study/${each##*/}" ]; then
            echo "$study/${each##*/} already exists; move it away first, nothing is ever overwritten" >&2
            exit 2
        fi
    done
    for each in "$place"/*; do
        [ ! -e "$each" ] || mv "$each" "$study/"
    done
fi
pg_restore --no-owner --exit-on-error --single-transaction --dbname="${PGDATABASE:?}" "$dump"
echo "restored $dump"
