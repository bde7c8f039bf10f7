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
work=$(mktemp -d)
tidy() {
    rm -rf "$work" "$name.part" "$name.tar.part"
    [ -e "$name.dump" ] || rm -f "$name.tar"
}
trap tidy EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Parts, and tars without a dump, of copies that were killed. A part that a copy still writes is younger.
stamp='????????T??????Z'
find "$folder" -name "lfi-$stamp*.part" -mmin "+$((hours * 60))" -exec rm -f {} +
find "$folder" -name "lfi-$stamp.tar" -mmin "+$((hours * 60))" | while read -r tar; do
    [ -e "${tar%.tar}.dump" ] || rm -f "$tar"
done

# Every file with its size and when it last changed.
pictures() {
    [ ! -d "$study" ] || (cd "$study" && find . -type f -printf '%C@ %s %p\n' | sort)
}

# The first member of the tar says what has to be in it, and in the dump: a tar that was cut off reads without error.
# It is read back before it counts.
copy_pictures() {
    from=$study
    if [ ! -d "$study" ]; then
        echo "note: there is no $study, so this copy holds no pictures" >&2
        from=$work/none
        mkdir -p "$from"
    fi
    (cd "$from" && find . -type f -exec sha256sum {} +) >"$work/MANIFEST.sha256" || return 1
    tar -cf "$name.tar.part" -C "$work" MANIFEST.sha256 MANIFEST.dump -C "$from" . || return 1
    (cd "$work" && sha256sum MANIFEST.sha256 MANIFEST.dump | sort - MANIFEST.sha256) >"$work/written"
    # shellcheck disable=SC2016 # tar's shell expands it, once for every file
    tar -xf "$name.tar.part" --to-command='sum=$(sha256sum) && printf "%s  %s\n" "${sum%% *}" "$TAR_FILENAME"' |
        sort >"$work/read"
    cmp -s "$work/written" "$work/read"
}

# Pictures that a draft loses meanwhile may be named in the dump, and new ones missing: then both are copied again.
tries=3
while :; do
    pictures >"$work/before"
    pg_dump --format=custom --no-owner --file="$name.part"
    pg_restore --file=/dev/null "$name.part" # reads all of it
    sha256sum <"$name.part" >"$work/MANIFEST.dump"
    whole=yes
    copy_pictures || whole=no
    pictures >"$work/after"
    if cmp -s "$work/before" "$work/after"; then
        [ "$whole" = no ] || break
        echo "the pictures could not be copied, or their tar reads back differently; there is no new copy" >&2
        exit 1
    fi
    tries=$((tries - 1))
    if [ "$tries" = 0 ]; then
        echo "pictures in $study changed each time while they were copied; there is no new copy" >&2
        exit 1
    fi
    sleep 5
done

# A copy has its name once it is whole, and on the disk.
sync "$name.part" "$name.tar.part"
mv "$name.tar.part" "$name.tar"
mv "$name.part" "$name.dump"
echo "$name.dump"

find "$folder" -name 'lfi-*.dump' | sort -r | tail -n "+$((keep + 1))" | while read -r old; do
    rm -f "$old" "${old%.dump}.tar"
done
