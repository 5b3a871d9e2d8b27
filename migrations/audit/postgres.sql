-- The audit store on PostgreSQL, for servers on many hosts. Run it once by a role with CREATEROLE that may create schemas in
-- the database; then give each host a login that is a member of tudb_audit_writer, and auditors one of tudb_audit_reader:
--   CREATE ROLE tudb_host_1 LOGIN PASSWORD '...' IN ROLE tudb_audit_writer;
-- A writer can add and nothing else: it reads, changes and removes nothing.

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA tudb_audit;

CREATE TABLE tudb_audit.process (
  process uuid PRIMARY KEY,
  registered timestamptz NOT NULL DEFAULT clock_timestamp(),  -- the database's own clock and word for who wrote it
  registered_by name NOT NULL DEFAULT session_user,
  started_at text NOT NULL,
  version text NOT NULL,
  key_id text,
  previous text,
  hash text
);

CREATE TABLE tudb_audit.event (
  process uuid NOT NULL,
  seq bigint NOT NULL CHECK (seq > 0),
  kind text NOT NULL CHECK (kind IN ('intent', 'outcome')),
  id uuid NOT NULL,
  at text NOT NULL,
  body text NOT NULL CHECK (body::jsonb IS NOT NULL),
  hash text NOT NULL,
  written timestamptz NOT NULL DEFAULT clock_timestamp(),
  written_by name NOT NULL DEFAULT session_user,
  PRIMARY KEY (process, seq)
);
CREATE INDEX ON tudb_audit.event (id);

CREATE TABLE tudb_audit.closing (
  process uuid PRIMARY KEY,
  at text NOT NULL,
  last_seq bigint NOT NULL,
  head text NOT NULL,
  hash text
);

CREATE TABLE tudb_audit.checkpoint (
  process uuid PRIMARY KEY,
  seq bigint NOT NULL,
  head text NOT NULL,
  at text NOT NULL,
  removed bigint NOT NULL,
  key_id text,
  hash text NOT NULL
);

CREATE VIEW tudb_audit.record AS
SELECT
  i.id,
  i.at AS started_at,
  i.process,
  i.seq,
  i.body::jsonb ->> 'client' AS client,
  i.body::jsonb ->> 'tool' AS tool,
  i.body::jsonb ->> 'source' AS source,
  i.body::jsonb ->> 'user_id' AS user_id,
  i.body::jsonb ->> 'session_id' AS session_id,
  i.body::jsonb ->> 'question_id' AS question_id,
  i.body::jsonb ->> 'question' AS question,
  i.body::jsonb ->> 'sql' AS sql,
  o.body::jsonb ->> 'decision' AS decision,
  o.body::jsonb ->> 'code' AS code,
  COALESCE(o.body::jsonb ->> 'outcome', 'unfinished') AS outcome,
  o.body::jsonb ->> 'row_count' AS row_count,
  o.body::jsonb ->> 'reply_bytes' AS reply_bytes,
  o.body::jsonb ->> 'elapsed_ms' AS elapsed_ms,
  o.body::jsonb ->> 'sqlstate' AS sqlstate,
  o.body::jsonb ->> 'engine' AS engine,
  o.body::jsonb ->> 'model' AS model,
  o.body::jsonb ->> 'input_tokens' AS input_tokens,
  o.body::jsonb ->> 'output_tokens' AS output_tokens,
  o.body::jsonb ->> 'cost' AS cost,
  i.body::jsonb ->> 'traceparent' AS traceparent
FROM tudb_audit.event AS i
LEFT JOIN tudb_audit.event AS o ON o.id = i.id AND o.kind = 'outcome'
WHERE i.kind = 'intent';

-- Roles belong to the whole server, which may have another such store.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tudb_audit_writer') THEN CREATE ROLE tudb_audit_writer NOLOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tudb_audit_reader') THEN CREATE ROLE tudb_audit_reader NOLOGIN; END IF;
END $$;

GRANT USAGE ON SCHEMA tudb_audit TO tudb_audit_writer;
-- By column: the database's own clock and word for who wrote are not the writer's to set.
GRANT INSERT (process, started_at, version, key_id, previous, hash) ON tudb_audit.process TO tudb_audit_writer;
GRANT INSERT (process, seq, kind, id, at, body, hash) ON tudb_audit.event TO tudb_audit_writer;
GRANT INSERT (process, at, last_seq, head, hash) ON tudb_audit.closing TO tudb_audit_writer;

GRANT USAGE ON SCHEMA tudb_audit TO tudb_audit_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA tudb_audit TO tudb_audit_reader;

COMMIT;
