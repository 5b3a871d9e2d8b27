DELETE FROM t
SELECT 1; SELECT 2
SELECT
INSERT INTO t VALUES (1)
SELECT * INTO u FROM t
WITH x AS (DELETE FROM t RETURNING 1) SELECT 1 FROM x
SELECT id FROM t FOR UPDATE
SELECT id FROM t WHERE id = $1
SELECT id FROM t WHERE id = ?
SELECT pg_sleep(1)
SELECT pg_terminate_backend(1)
SELECT lo_get(1)
SELECT nextval('s')
SELECT set_config('role', 'x', false)
SELECT * FROM pg_authid
SELECT * FROM pg_stat_activity
SELECT * FROM pg_shadow
SELECT a OPERATOR(public.=) b FROM t
SELECT 't'::regclass
SELECT 'pg_authid'::regclass
SET role x
SHOW data_directory
EXPLAIN DELETE FROM t
EXPLAIN ANALYZE SELECT 1
COPY t TO '/tmp/x'
CALL f()
DO $$ BEGIN END $$
BEGIN
LISTEN x
VACUUM
TREAT
SELECT TREAT(a AS b) FROM t
SELECT xmlforest(a) FROM
SELECT "a
SELECT 'a
