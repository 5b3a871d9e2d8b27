//! Compares how TUDB and libpq read connection strings (through psycopg, which contains libpq 18).

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::*;
use crate::environment::Environment;

/// Prints how libpq reads each case: the options of a connection that is started and never completed.
const LIBPQ: &str = "
import json, os, sys
from psycopg import pq
for name in [name for name in os.environ if name.startswith('PG')]:
    del os.environ[name]
read = []
for text, env in json.load(sys.stdin):
    os.environ.update(env)
    connection = pq.PGconn.connect_start(text.encode())
    options = {o.keyword.decode(): o.val.decode() for o in connection.info if o.val}
    # A string that cannot be read leaves no database behind, which every other one has.
    read.append(options if 'dbname' in options else None)
    connection.finish()
    for name in env:
        del os.environ[name]
print(json.dumps(read))
";

/// Typical connection strings, each with the environment.
fn pasted(service_file: &str) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let plain = [
        // Local.
        "postgres://localhost/mydb",
        "postgresql://postgres:secret@localhost:5432/mydb",
        "postgres://user@127.0.0.1:5433/my%20db",
        "postgresql://user:pass@[::1]:5432/db",
        "postgresql://[2001:db8::1234]/db?user=u",
        "postgresql:///db?host=/var/run/postgresql&user=me",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/db?user=me",
        "host=localhost port=5433 dbname=mydb user=me password=secret",
        "host = 'db.example' dbname = 'my db' user='o\\'x' ",
        "host=db.example user=me password='a b\\'c\\\\d' dbname=x sslmode=verify-full",
        "user=me dbname=d host=/tmp port=6000 connect_timeout=10",
        "  postgres://u:p@h/d  ",
        // Supabase: direct, session pooler, transaction pooler.
        "postgresql://postgres:pw@db.abcdefghijkl.supabase.co:5432/postgres",
        "postgresql://postgres.abcdefghijkl:pw@aws-0-eu-central-1.pooler.supabase.com:5432/postgres",
        "postgresql://postgres.abcdefghijkl:p%40w%23%2F@aws-1-us-east-1.pooler.supabase.com:6543/postgres?pgbouncer=true",
        "user=postgres.abc password=pw host=aws-0-eu-central-1.pooler.supabase.com port=6543 dbname=postgres",
        // Neon: direct, pooler, channel binding, endpoint option.
        "postgresql://alex:AbC123dEf@ep-cool-darkness-123456.us-east-2.aws.neon.tech/dbname?sslmode=require&channel_binding=require",
        "postgresql://alex:AbC123dEf@ep-cool-darkness-123456-pooler.us-east-2.aws.neon.tech/dbname?sslmode=require",
        "postgres://alex:pw@ep-x.c-2.eu-central-1.aws.neon.tech/neondb?sslmode=verify-full&sslrootcert=system",
        "postgres://alex:pw@ep-x.aws.neon.tech/neondb?options=endpoint%3Dep-x&sslmode=require",
        // Railway: public and private.
        "postgresql://postgres:pw@monorail.proxy.rlwy.net:43210/railway",
        "postgresql://postgres:pw@postgres.railway.internal:5432/railway",
        // RDS and Aurora: instance, cluster, reader, proxy.
        "postgresql://admin:pw@shop.c9akciq32.eu-west-1.rds.amazonaws.com:5432/shop",
        "postgres://admin:pw@shop.cluster-c9akciq32.eu-west-1.rds.amazonaws.com/shop?sslmode=verify-full",
        "postgres://admin:pw@shop.cluster-ro-c9akciq32.eu-west-1.rds.amazonaws.com/shop?target_session_attrs=any",
        "postgres://admin:pw@shop.proxy-c9akciq32.eu-west-1.rds.amazonaws.com/shop",
        // Several hosts.
        "postgresql://u:p@host1:123,host2:456/db?target_session_attrs=read-write",
        "postgresql://u@host1,host2,host3/db",
        "postgresql://u@host1,host2/db?port=6000",
        "host=host1,host2 port=1,2 user=u dbname=d",
        "host=host1,host2 port=7000 user=u dbname=d",
        "postgresql://u@[::1]:5,[::2]:6/db",
        // Edge cases.
        "postgresql://u:p@h",
        "postgresql://u:p@h/",
        "postgresql://u:@h/d",
        "postgresql://u:p%3Aq%2Fr%3Fs%40t@h/d",
        "postgresql://u:p:q@h/d",
        "postgresql://u:p#q?r@h/d",
        "postgresql://h/d?user=u&password=p%26q%3Dr",
        "postgresql://u:p@h/d?ssl=true",
        "postgresql://u:p@h/d?application_name=x&keepalives=1&tcp_user_timeout=5000&gssencmode=disable",
        "postgresql://u:p@h/d%2Fe",
        "postgresql://us%C3%A9r:p%C3%A4ss@h/d",
        "host=h user=u dbname=d password=",
        "host=h user=u dbname=d password=''",
        "hostaddr=10.1.2.3 user=u dbname=d",
        "host=db.example hostaddr=10.1.2.3 user=u dbname=d",
        "host=a,b hostaddr=10.1.2.3,10.1.2.4 user=u dbname=d",
        "postgresql://u@a/d?hostaddr=10.1.2.3",
    ];
    let mut cases: Vec<_> = plain.into_iter().map(|text| (text, vec![])).collect();
    let env = |pairs: &[(&'static str, &str)]| pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let all = [
        ("PGHOST", "envhost"),
        ("PGPORT", "7777"),
        ("PGUSER", "envuser"),
        ("PGPASSWORD", "envpw"),
        ("PGDATABASE", "envdb"),
    ];
    cases.push(("postgresql://", env(&all)));
    cases.push(("postgresql://u@h/d", env(&all)));
    cases.push(("host=h", env(&all)));
    cases.push(("postgresql:///d", env(&[("PGHOST", "envhost"), ("PGUSER", "u"), ("PGSSLMODE", "verify-ca")])));
    cases.push(("postgresql://u@h/d?sslmode=disable", env(&[("PGSSLMODE", "verify-full")])));
    let service = [("PGSERVICEFILE", service_file)];
    cases.push(("service=shop", env(&service)));
    cases.push(("service=shop user=me", env(&service)));
    cases.push(("postgresql://other/?service=shop", env(&service)));
    cases.push((
        "postgresql://",
        env(&[("PGSERVICEFILE", service_file), ("PGSERVICE", "shop"), ("PGDATABASE", "envdb")]),
    ));
    cases
}

fn environment(pairs: &[(&'static str, String)]) -> PgEnvironment {
    let env: Environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    PgEnvironment::new(&env).without_sockets()
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn strings_mean_what_libpq_makes_of_them() {
    let Ok(tools) = std::env::var("TEST_CLIENTS") else { panic!("start the tests with tests/run") };
    let service_file = std::env::temp_dir().join(format!("tudb-service-{}", uuid::Uuid::now_v7()));
    std::fs::write(&service_file, "[other]\nhost=wrong\n# a remark\n[shop]\nhost=svc.example\nport=6001\nuser=svc\npassword=s v c\ndbname=svcdb\n").unwrap();
    let cases = pasted(service_file.to_str().unwrap());
    assert!(cases.len() >= 40);
    let mut libpq = Command::new(std::path::Path::new(&tools).join("python-mcp/bin/python"))
        .args(["-c", LIBPQ])
        .env("RES_OPTIONS", "timeout:1 attempts:1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input: Vec<Value> = cases
        .iter()
        .map(|(text, env)| {
            let env: serde_json::Map<String, Value> =
                env.iter().map(|(name, value)| ((*name).into(), json!(value))).collect();
            // libpq does not know the keys of other clients.
            json!([text.trim().replace("?pgbouncer=true", ""), env])
        })
        .collect();
    libpq.stdin.take().unwrap().write_all(serde_json::to_string(&input).unwrap().as_bytes()).unwrap();
    let output = libpq.wait_with_output().unwrap();
    assert!(output.status.success());
    let read: Vec<Option<BTreeMap<String, String>>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read.len(), cases.len());
    for ((text, env), libpq) in cases.iter().zip(read) {
        let libpq = libpq.unwrap_or_else(|| panic!("libpq does not read {text}"));
        let mut env = env.clone();
        // libpq gets the name of the user from the system.
        env.push(("USER", libpq["user"].clone()));
        let ours = super::read(text, &environment(&env)).unwrap_or_else(|problem| panic!("{text}: {problem}"));
        assert_eq!(ours.user, libpq["user"], "{text}");
        assert_eq!(ours.database, libpq["dbname"], "{text}");
        assert_eq!(ours.password.as_ref().map(Secret::reveal), libpq.get("password").map(String::as_str), "{text}");
        let names: Vec<&str> = ours.hosts.iter().map(|host| host.name.as_str()).collect();
        let host = libpq.get("host").or(libpq.get("hostaddr")).map_or("localhost", String::as_str);
        assert_eq!(names.join(","), host, "{text}");
        let places: Vec<&str> = ours.hosts.iter().map(Host::place).collect();
        assert_eq!(places.join(","), *libpq.get("hostaddr").map_or(host, String::as_str), "{text}");
        let ports: Vec<String> =
            libpq["port"].split(',').map(|port| if port.is_empty() { "5432" } else { port }.to_owned()).collect();
        for (index, host) in ours.hosts.iter().enumerate() {
            assert_eq!(&host.port.to_string(), ports.get(index).unwrap_or(&ports[0]), "{text}");
        }
        if let Some(mode) = ours.value("sslmode") {
            assert_eq!(mode, libpq["sslmode"], "{text}");
        }
        for key in ["sslrootcert", "target_session_attrs"] {
            if let Some(value) = ours.value(key) {
                assert_eq!(value, libpq[key], "{text}");
            }
        }
        assert!(ours.unknown.is_empty(), "{text}: {:?}", ours.unknown);
    }
    std::fs::remove_file(service_file).unwrap();
}

#[test]
fn raw_special_characters_in_a_password_are_taken() {
    for character in ["@", "/", "#", "?", ":", "%", "@@", "/@", "?x=y@", "@ss/w#rd?", "[", "]", ",", " ", "é", "&", "="]
    {
        let password = format!("se{character}cret");
        let dsn =
            super::read(&format!("postgres://user:{password}@db.example:5433/shop?sslmode=require"), &environment(&[]))
                .unwrap_or_else(|problem| panic!("{character}: {problem}"));
        assert_eq!(dsn.password.as_ref().map(Secret::reveal), Some(password.as_str()));
        assert_eq!(dsn.hosts, [Host { name: "db.example".into(), address: None, port: 5433 }], "{character}");
        assert_eq!((dsn.database.as_str(), dsn.value("sslmode")), ("shop", Some("require")), "{character}");
    }
}

#[test]
fn what_cannot_be_read_is_said_without_the_value() {
    for text in [
        "postgres://u:s3cret@host:port/d",
        "postgres://u:s3cret@h1,h2:1,h3/d?port=1,2",
        "host=h user='s3cret",
        "host=h s3cret",
        "service=s3",
        "postgres://u:s3cret@h/d?novalue",
        "host=h port=99999999 password=s3cret",
    ] {
        let problem = super::read(text, &environment(&[("USER", "me".into())])).unwrap_err();
        assert!(!problem.contains("s3cret"), "{problem}");
    }
    assert!(super::read("host=h", &environment(&[])).unwrap_err().contains("names no user"));
    let unknown = super::read("postgres://u@h/d?frobnicate=s3cret&keepalives=1", &environment(&[])).unwrap();
    assert_eq!(
        (unknown.unknown, unknown.without_effect),
        (vec!["frobnicate".to_owned()], vec!["keepalives".to_owned()])
    );
}

#[test]
fn the_password_file_is_read_like_libpqs() {
    let home = std::env::temp_dir().join(format!("tudb-pgpass-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&home).unwrap();
    let file = home.join(".pgpass");
    std::fs::write(
        &file,
        "# remark\nother:5432:*:*:wrong\nh:5433:d:u:p\\:a\\\\s:s\nlocalhost:*:*:u:local\n*:*:*:u:any\n",
    )
    .unwrap();
    let env = environment(&[("HOME", home.to_str().unwrap().to_owned())]);
    let password = |text: &str| super::read(text, &env).unwrap().password.map(|password| password.reveal().to_owned());
    use_mode(&file, 0o644);
    assert_eq!(password("host=h user=u"), None);
    use_mode(&file, 0o600);
    assert_eq!(password("host=h port=5433 dbname=d user=u").as_deref(), Some("p:a\\s:s"));
    assert_eq!(password("postgres://u@localhost/x").as_deref(), Some("local"));
    assert_eq!(password("host=/tmp user=u dbname=x").as_deref(), Some("local"));
    assert_eq!(password("host=elsewhere user=u").as_deref(), Some("any"));
    assert_eq!(password("host=elsewhere user=v"), None);
    assert_eq!(password("host=elsewhere user=u password=own").as_deref(), Some("own"));
    std::fs::remove_dir_all(home).unwrap();
}

fn use_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
