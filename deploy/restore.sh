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
    tar -C "$study" -xf "${dump%.dump}.tar"
fi
pg_restore --no-owner --exit-on-error --single-transaction --dbname="${PGDATABASE:?}" "$dump"
echo "restored $dump"
