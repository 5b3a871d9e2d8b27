-- Traps beside the fixture's: what the server can be made to run by a name, a type, a cast, an operator or a view.
CREATE FUNCTION strike() RETURNS boolean LANGUAGE sql STABLE AS
  'select coalesce(bool_or(pg_catalog.pg_cancel_backend(pid)), true) from pg_catalog.pg_stat_activity where application_name = ''victim''';
CREATE FUNCTION strike(text) RETURNS boolean LANGUAGE sql STABLE AS 'select public.strike()';
CREATE DOMAIN checked AS text CHECK (public.strike(VALUE));
CREATE TYPE pair AS (a int, b checked);
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE moods (id int, m mood, p pair);
INSERT INTO moods VALUES (1, 'sad', NULL), (2, 'happy', NULL);
CREATE FUNCTION mood_int(mood) RETURNS int LANGUAGE sql STABLE AS 'select public.strike()::int';
CREATE CAST (mood AS int) WITH FUNCTION mood_int(mood) AS IMPLICIT;
CREATE FUNCTION mood_like(mood, mood) RETURNS boolean LANGUAGE sql STABLE AS 'select public.strike()';
CREATE OPERATOR ~~ (LEFTARG = mood, RIGHTARG = mood, FUNCTION = mood_like);
CREATE FUNCTION add_up(int, int) RETURNS int LANGUAGE sql STABLE AS 'select $1 + $2 + public.strike()::int';
CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = add_up);
CREATE FUNCTION struck(customers) RETURNS boolean LANGUAGE sql STABLE AS 'select public.strike()';
CREATE VIEW v_strike AS SELECT strike() AS s;
CREATE VIEW v_deep AS SELECT * FROM v_strike;
CREATE VIEW v_auth AS SELECT rolname, rolpassword FROM pg_authid;
CREATE VIEW v_sessions AS SELECT pid, query FROM pg_stat_activity;
CREATE VIEW v_sleep AS SELECT pg_sleep(30)::text AS s;
CREATE VIEW v_domain AS SELECT 'x'::checked AS c;
CREATE VIEW v_cast AS SELECT m + 1 AS n FROM moods;
CREATE VIEW v_honest AS SELECT id, upper(name) AS name, created_at::date AS day FROM customers WHERE tags @> ARRAY['vip'] AND name LIKE 'C%';
CREATE SCHEMA tools;
CREATE FUNCTION tools.score(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'select $1 * 2';
CREATE FUNCTION tools.noisy(int) RETURNS int LANGUAGE sql VOLATILE AS 'select $1';
\set ON_ERROR_STOP off
CREATE EXTENSION pg_trgm; CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION unaccent; CREATE EXTENSION intarray;
CREATE EXTENSION cube; CREATE EXTENSION earthdistance; CREATE EXTENSION fuzzystrmatch; CREATE EXTENSION ltree; CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION vector; CREATE EXTENSION tsm_system_rows;
CREATE TABLE docs (id int, body citext, attributes hstore, path ltree, tags int[]);
INSERT INTO docs VALUES (1, 'Hello', 'a=>1,b=>2', 'top.mid.low', ARRAY[1, 2]);
