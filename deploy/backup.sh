#!/bin/sh
# Studies in PostgreSQL and their pictures, copied again and again:  backup.sh          (one copy:  backup.sh once)
# The database is named as psql reads it (PGHOST, PGUSER, PGPASSWORD, PGDATABASE).
set -eu
umask 077 # copies hold people's answers

folder=${BACKUP_FOLDER:-/backups}
study=${STUDY_FOLDER:-/data/study}
hours=${BACKUP_HOURS:-6}
keep=${BACKUP_KEEP:-28}

if [ "${1:-}" != once ]; then
    while :; do
        sh "$0" once || echo "backup failed; the next one comes in $hours hours" >&2
        sleep "$((hours * 3600))"
    done
fi

name=$folder/lfi-$(date -u +%Y%m%dT%H%M%SZ)
# The database first: whatever it names then lies in the folder already. A copy has its name once it is whole.
pg_dump --format=custom --no-owner --file="$name.part"
pg_restore --list "$name.part" >/dev/null
if [ -d "$study" ]; then
    # The first member of the tar says what has to be in it, and in the dump: a tar that was cut off reads without error.
    listed=$(mktemp -d)
    trap 'rm -rf "$listed"' EXIT
    (cd "$study" && find . -type f -exec sha256sum {} +) >"$listed/MANIFEST.sha256"
    sha256sum <"$name.part" >"$listed/MANIFEST.dump"
    tar -cf "$name.tar.part" -C "$listed" MANIFEST.sha256 MANIFEST.dump -C "$study" .
    mv "$name.tar.part" "$name.tar"
fi
mv "$name.part" "$name.dump"
echo "$name.dump"

find "$folder" -name 'lfi-*.dump' | sort -r | tail -n "+$((keep + 1))" | while read -r old; do
    rm -f "$old" "${old%.dump}.tar"
done
