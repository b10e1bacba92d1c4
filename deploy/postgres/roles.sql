-- The roles of Floodgate's database, each with what its program needs. Run it once, as a superuser, in that
-- database: psql -d floodgate -f deploy/postgres/roles.sql. Then give each its password (\password, in psql),
-- and run `python -m collectors.migrate` as floodgate_owner: it makes the tables, and grants the rights on them.
-- Running it again changes nothing.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['floodgate_owner', 'floodgate_collector', 'floodgate_reader', 'floodgate_monitor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', name);
        END IF;
    END LOOP;
    -- By default everybody may connect and make temporary tables.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('ALTER DATABASE %I OWNER TO floodgate_owner', current_database());
    -- Staging tables are temporary ones.
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO floodgate_collector', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO floodgate_reader, floodgate_monitor', current_database());
END
$$;

-- Since PostgreSQL 15 the schema is the database owner's, and nobody else may create in it.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO floodgate_collector, floodgate_reader;

-- For postgres_exporter: the server's figures, and no table of ours.
GRANT pg_monitor TO floodgate_monitor;
