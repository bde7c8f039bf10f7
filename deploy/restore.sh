#!/bin/sh
# A copy of backup.sh put in place of nothing:  restore.sh lfi-20261125T120000Z.dump
# The database alone:  restore.sh --no-pictures lfi-20261125T120000Z.dump
# The service must not run meanwhile. The schema is brought up to date when the service starts.
set -eu

folder=${BACKUP_FOLDER:-/backups}
study=${STUDY_FOLDER:-/data/study}
pictures=yes
if [ "${1:-}" = --no-pictures ]; then
    pictures=no
    shift
fi
dump=$folder/$(basename "${1:?the name of a dump is missing; $folder holds them}")
tar=${dump%.dump}.tar

if [ ! -f "$dump" ]; then
    echo "there is no $dump; there are: $(cd "$folder" && echo ./*.dump)" >&2
    exit 2
fi
if [ "$pictures" = yes ] && [ ! -f "$tar" ]; then
    echo "there is no $tar, which holds the pictures; --no-pictures before the name restores the database alone" >&2
    exit 2
fi
tables=$(psql -Atc "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
if [ "$tables" != 0 ]; then
    echo "the database holds $tables tables already; restore into an empty one, nothing is ever overwritten" >&2
    exit 2
fi

damaged() {
    echo "$dump or its tar is incomplete or damaged; nothing was restored" >&2
    exit 2
}
if [ "$pictures" = yes ]; then
    mkdir -p "$study"
    chown --reference="${study%/*}" "$study" # this is root; the service is not
    place=$(mktemp -d "$study/.restore-XXXXXX") # on the same disk, so that what was checked is only renamed
    trap 'rm -rf "$place"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    tar -C "$place" -xf "$tar" || damaged
    if [ ! -f "$place/MANIFEST.sha256" ]; then
        echo "note: this copy was made by an older LFI and holds no manifest, so it cannot be checked" >&2
    elif ! (
        cd "$place"
        sha256sum --quiet -c MANIFEST.dump <"$dump" &&
            { [ ! -s MANIFEST.sha256 ] || sha256sum --quiet -c MANIFEST.sha256; }
    ); then
        damaged
    fi
    rm -f "$place/MANIFEST.sha256" "$place/MANIFEST.dump"
    for each in "$place"/*; do
        [ -e "$each" ] || continue
        if [ -e "$study/${each##*/}" ]; then
            echo "$study/${each##*/} already exists; move it away first, nothing is ever overwritten" >&2
            exit 2
        fi
    done
fi

# The database first, in one transaction: if it fails, nothing has changed, and the same can be done again.
if ! pg_restore --no-owner --exit-on-error --single-transaction --dbname="${PGDATABASE:?}" "$dump"; then
    echo "the database could not be restored; nothing was changed, so try again once the cause is mended" >&2
    exit 1
fi
if [ "$pictures" = yes ]; then
    trap - EXIT # from here on the pictures are needed
    for each in "$place"/*; do
        if [ -e "$each" ] && ! mv "$each" "$study/"; then
            echo "the database is restored, but not all pictures; move the rest from $place to $study" >&2
            exit 1
        fi
    done
    rm -rf "$place"
fi
echo "restored $dump"
