DELETE FROM t
SELECT 1; SELECT 2
PRAGMA writable_schema = 1
PRAGMA table_info(t)
ATTACH 'x' AS y
SELECT load_extension('x')
SELECT writefile('x', 'y')
SELECT readfile('x')
SELECT * FROM pragma_database_list
SELECT randomblob(9)
SELECT id FROM t WHERE id = ?1
SELECT fts3_tokenizer('x')
REPLACE INTO t VALUES (1)
SELECT no_such_function(1)
