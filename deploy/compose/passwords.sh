#!/bin/sh
# Gives each role of postgres/roles.sql its password: that of its program's URL, and the exporter's. Run once, by
# PostgreSQL's image, when its volume is empty.
set -eu
secrets=${SECRETS:-/run/secrets}

give() {
    # psql quotes it; on a command line it would be seen by others.
    PASSWORD=$2 psql -q -v ON_ERROR_STOP=1 -v role="floodgate_$1" \
        --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" <<'SQL'
\getenv password PASSWORD
ALTER ROLE :"role" PASSWORD :'password';
SQL
}

for role in owner collector reader; do
    url=$(cat "$secrets/database_url_$role")
    password=${url#*://*:}
    give "$role" "${password%%@*}"
done
give monitor "$(cat "$secrets/monitor_password")"
