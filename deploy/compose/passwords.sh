#!/bin/sh
# Gives each role of postgres/roles.sql the password that is in its program's URL. Run once, by PostgreSQL's image,
# when its volume is empty.
set -eu
for role in owner collector reader; do
    url=$(cat "${SECRETS:-/run/secrets}/database_url_$role")
    password=${url#*://*:}
    # psql quotes it; on a command line it would be seen by others.
    PASSWORD=${password%%@*} psql -q -v ON_ERROR_STOP=1 -v role="floodgate_$role" \
        --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" <<'SQL'
\getenv password PASSWORD
ALTER ROLE :"role" PASSWORD :'password';
SQL
done
