//! Tests the schema snapshot on real servers: its content, when it is read again, and its maximum size.

use super::lock_tests::servers::servers;
use super::lock_tests::{Bypass, source, temporary};
use super::*;
use crate::audit::EntryStart;

const TABLES: &str = "CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TABLE parent (id int PRIMARY KEY, name text NOT NULL, feels mood, moods mood[]);
    CREATE TABLE child (a int, b int, parent_id int REFERENCES parent, state text CHECK (state IN ('new', 'it''s paid')),
      kind text, PRIMARY KEY (b, a));
    CREATE TABLE grandchild (x int, y int, FOREIGN KEY (y, x) REFERENCES child (b, a));
    CREATE TABLE heirs () INHERITS (child);
    CREATE DOMAIN feeling AS mood; CREATE DOMAIN deep AS feeling; CREATE DOMAIN many AS mood[];
    CREATE TABLE lists (a deep, b many, c varchar(9) CHECK (c IN ('x', 'y')), d text CHECK (NOT (d = ANY (ARRAY['no', 'never']))),
      e text CHECK (length(e) > 1 OR e = ANY (ARRAY['z'])), f text CHECK (f = ANY (ARRAY['p', 'q'])) );
    INSERT INTO child SELECT i, i, NULL, 'new', 'kind ' || i % 3 FROM generate_series(1, 300) i;
    INSERT INTO heirs SELECT i, i, NULL, 'new', 'kind ' || i % 3 FROM generate_series(301, 600) i;
    COMMENT ON TABLE child IS 'what a parent has'; COMMENT ON COLUMN child.state IS 'where it stands'; ANALYZE;";

impl Bypass {
    async fn snapshot(&self, unless: Option<&str>) -> Option<Snapshot> {
        let start = EntryStart { tool: "list_tables".into(), ..EntryStart::default() };
        let entry = self.audit.begin(start, &crate::audit::Outcomes::default()).committed().await.unwrap();
        let session = self.database.open(entry.id(), &self.options, Purpose::Catalog).await.unwrap();
        session.snapshot(&entry, unless, &self.options).await.unwrap()
    }
}

#[tokio::test]
#[ignore = "needs servers or clients: tests/run"]
async fn the_snapshot_is_complete_and_read_again_when_the_catalog_changes() {
    for server in servers() {
        let (database, url) = server.database("snapshot");
        server.script(&database, TABLES);
        let directory = temporary("snapshot");
        let engine = Bypass::new(&source(&url), &directory);
        let snapshot = engine.snapshot(None).await.unwrap();
        let table = |name: &str| snapshot.tables.iter().find(|table| table.name == name).unwrap();
        let names: Vec<&str> = snapshot.tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["public.child", "public.grandchild", "public.heirs", "public.lists", "public.parent"]);
        // A column has the labels of an enum, even through domains and arrays. A CHECK gives values only if it is a
        // list of them.
        let lists: Vec<String> = table("public.lists").columns.iter().map(|column| column.values.join("|")).collect();
        assert_eq!(lists, ["sad|happy", "sad|happy", "x|y", "", "", "p|q"]);
        let child = table("public.child");
        assert_eq!(
            (child.comment.as_deref(), &child.primary_key),
            (Some("what a parent has"), &vec!["b".into(), "a".into()])
        );
        assert_eq!(child.foreign_keys[0].references, "public.parent");
        let key = &table("public.grandchild").foreign_keys[0];
        assert_eq!((key.columns.join(","), key.referenced_columns.join(",")), ("y,x".into(), "b,a".into()));
        let column = |table: &TableDescription, name: &str| {
            table.columns.iter().find(|column| column.name == name).unwrap().clone()
        };
        let state = column(child, "state");
        assert_eq!(
            (state.comment.as_deref(), state.values.join("|")),
            (Some("where it stands"), "new|it's paid".into())
        );
        // The planner has two lists of values for a table with children.
        let mut kinds = column(child, "kind").values;
        kinds.sort();
        assert_eq!(kinds, ["kind 0", "kind 1", "kind 2"]);
        let parent = table("public.parent");
        assert_eq!((&*column(parent, "feels").type_name, column(parent, "feels").values.len()), ("public.mood", 2));
        assert_eq!(&*column(parent, "moods").type_name, "public.mood[]");
        assert!(!column(parent, "name").nullable && column(parent, "feels").nullable);

        // Without a change nothing is read. Then each kind of change is detected.
        let mut seen = snapshot.fingerprint.unwrap();
        assert!(engine.snapshot(Some(&seen)).await.is_none());
        for change in [
            "ALTER TABLE parent ADD COLUMN age int",
            "COMMENT ON COLUMN parent.age IS 'in years'",
            "ALTER TYPE mood ADD VALUE 'calm'",
            "ALTER TABLE parent ADD CHECK (age > 0)",
            "CREATE VIEW grown AS SELECT * FROM parent WHERE age > 17",
            "ALTER TABLE grandchild RENAME COLUMN x TO z",
            "DROP TABLE heirs",
            "REVOKE ALL ON parent FROM postgres",
            "ALTER SCHEMA public RENAME TO private",
        ] {
            server.query(&database, change);
            let now = engine.snapshot(Some(&seen)).await.unwrap_or_else(|| panic!("{change}")).fingerprint.unwrap();
            assert_ne!(now, seen, "{change}");
            seen = now;
        }
    }
}

#[tokio::test]
#[ignore = "needs servers or clients: tests/run"]
async fn a_schema_larger_than_its_bound_is_cut_and_says_so() {
    let server = &servers()[0];
    let (database, url) = server.database("bound");
    server.script(
        &database,
        "DO $$ BEGIN FOR t IN 1..50 LOOP EXECUTE format('CREATE TABLE t_%s (a int, b text, c text, d text)', t); END LOOP; END $$;",
    );
    let directory = temporary("bound");
    let whole = Bypass::new(&source(&url), &directory).snapshot(None).await.unwrap();
    assert_eq!((whole.tables.len(), whole.columns(), whole.left_out), (50, 200, 0));
    let mut narrow = source(&url);
    narrow.limits.max_snapshot_bytes = whole.bytes() / 2;
    let part = Bypass::new(&narrow, &directory).snapshot(None).await.unwrap();
    assert!(part.bytes() <= narrow.limits.max_snapshot_bytes, "{} bytes", part.bytes());
    assert!(part.left_out > 0 && part.left_out < 50);
    assert_eq!(part.left_out + part.tables.len(), 50);
    assert!(part.tables.iter().all(|table| table.columns.len() == 4), "no table is there in part");
}

#[tokio::test]
#[ignore = "needs servers or clients: tests/run"]
async fn tables_that_other_users_make_in_large_numbers_are_left_out_first() {
    let server = &servers()[0];
    let (database, url) = server.database("flood");
    server.script(
        &database,
        "CREATE ROLE flooder; CREATE SCHEMA a AUTHORIZATION flooder; SET ROLE flooder;
         DO $$ BEGIN FOR t IN 1..200 LOOP EXECUTE format('CREATE VIEW a.v_%s AS SELECT', t); END LOOP; END $$;
         RESET ROLE; CREATE TABLE orders (id int, total numeric); CREATE TABLE z (id int);",
    );
    let directory = temporary("flood");
    let whole = Bypass::new(&source(&url), &directory).snapshot(None).await.unwrap();
    assert_eq!((whole.tables.len(), whole.left_out), (202, 0));
    let mut narrow = source(&url);
    narrow.limits.max_snapshot_bytes = whole.bytes() / 4;
    let part = Bypass::new(&narrow, &directory).snapshot(None).await.unwrap();
    let names: Vec<&str> = part.tables.iter().map(|table| &*table.name).collect();
    assert_eq!(&names[names.len() - 2..], ["public.orders", "public.z"], "in the order of names");
    assert_eq!(part.columns(), 3);
    assert_eq!(part.left_out + part.tables.len(), 202);
}

#[tokio::test]
#[ignore = "needs servers or clients: tests/run"]
async fn the_types_that_depend_on_the_path_have_fixed_oids() {
    for server in servers() {
        let types = "SELECT bool_and(t.oid = ANY (LIST) AND t.typarray = ANY (LIST)), 2 * count(*) = cardinality(LIST)
            FROM pg_type t WHERE t.typname IN ('regclass', 'regproc', 'regprocedure', 'regoper', 'regoperator', 'regtype',
              'regconfig', 'regdictionary', 'regcollation')";
        assert_eq!(server.query("postgres", &types.replace("LIST", super::postgres::REG_TYPES)).trim(), "t|t");
    }
}
