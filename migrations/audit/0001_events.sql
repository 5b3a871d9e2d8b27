-- The audit store. Events are only ever added: an intent before a statement is sent, an outcome after.

CREATE TABLE process (
  process TEXT PRIMARY KEY,        -- one run of the server or of a command
  started_at TEXT NOT NULL,
  version TEXT NOT NULL,
  ended_at TEXT,                   -- NULL while it runs, or when it died
  last_seq INTEGER,                -- at a regular end: the chain's head, so that a cut tail shows
  head TEXT
);

CREATE TABLE event (
  process TEXT NOT NULL,
  seq INTEGER NOT NULL,            -- counts from 1 within the process
  kind TEXT NOT NULL CHECK (kind IN ('intent', 'outcome')),
  id TEXT NOT NULL,                -- of the record both belong to
  at TEXT NOT NULL,
  body TEXT NOT NULL,              -- JSON, the record's fields that this event knows
  hash TEXT NOT NULL,              -- SHA-256 over the previous event's hash and this event
  PRIMARY KEY (process, seq)
) WITHOUT ROWID;                   -- one page a write: adding is what must be quick, and reading may sort

-- One row a record, under the names the documentation uses.
CREATE VIEW record AS
SELECT
  i.id,
  i.at AS started_at,
  i.process,
  i.seq,
  i.body ->> 'client' AS client,
  i.body ->> 'tool' AS tool,
  i.body ->> 'source' AS source,
  i.body ->> 'user_id' AS user_id,
  i.body ->> 'session_id' AS session_id,
  i.body ->> 'question_id' AS question_id,
  i.body ->> 'question' AS question,
  i.body ->> 'sql' AS sql,
  o.body ->> 'decision' AS decision,
  o.body ->> 'code' AS code,
  COALESCE(o.body ->> 'outcome', 'unfinished') AS outcome,
  o.body ->> 'row_count' AS row_count,
  o.body ->> 'reply_bytes' AS reply_bytes,
  o.body ->> 'elapsed_ms' AS elapsed_ms,
  o.body ->> 'sqlstate' AS sqlstate,
  o.body ->> 'engine' AS engine,
  o.body ->> 'model' AS model,
  o.body ->> 'input_tokens' AS input_tokens,
  o.body ->> 'output_tokens' AS output_tokens,
  i.body ->> 'traceparent' AS traceparent
FROM event AS i
LEFT JOIN event AS o ON o.id = i.id AND o.kind = 'outcome'
WHERE i.kind = 'intent';
