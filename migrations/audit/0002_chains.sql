-- Insert-only: the end of a process is a row of its own. A chain begins with its process's row, which knows how far the
-- chains before it had come; a checkpoint vouches for what retention removed.

ALTER TABLE process ADD COLUMN key_id TEXT;      -- of the key that the chain is made with; NULL without a key
ALTER TABLE process ADD COLUMN previous TEXT;    -- `PROCESS SEQ HASH [closed], ..`: how far the chains before it had come
ALTER TABLE process ADD COLUMN hash TEXT;        -- over this row: where the chain begins; NULL before this version

CREATE TABLE closing (
  process TEXT PRIMARY KEY,
  at TEXT NOT NULL,
  last_seq INTEGER NOT NULL,     -- the chain's end, so that a cut tail shows
  head TEXT NOT NULL,
  hash TEXT                      -- over this row; NULL before this version
);
INSERT INTO closing (process, at, last_seq, head) SELECT process, ended_at, last_seq, head FROM process WHERE head IS NOT NULL;
ALTER TABLE process DROP COLUMN ended_at;
ALTER TABLE process DROP COLUMN last_seq;
ALTER TABLE process DROP COLUMN head;

CREATE TABLE checkpoint (
  process TEXT PRIMARY KEY,
  seq INTEGER NOT NULL,          -- the last event that was removed
  head TEXT NOT NULL,            -- its hash, where the chain goes on
  at TEXT NOT NULL,
  removed INTEGER NOT NULL,      -- events, from the first removal on
  key_id TEXT,
  hash TEXT NOT NULL             -- over this row: with a key, a signature
);

-- A body that somebody broke must not keep the others from being read.
CREATE VIEW readable AS
SELECT process, seq, kind, id, at, CASE WHEN json_valid(body) THEN body ELSE '{"tool": "unreadable"}' END AS body FROM event;

DROP VIEW record;
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
  o.body ->> 'cost' AS cost,
  i.body ->> 'traceparent' AS traceparent
FROM readable AS i
LEFT JOIN readable AS o ON o.id = i.id AND o.kind = 'outcome'
WHERE i.kind = 'intent';
