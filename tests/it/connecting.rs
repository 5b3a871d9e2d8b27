//! Connecting: TLS modes as libpq defines them, several hosts, and the errors of failed connections.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::postgres::{Postgres, free_port, is_root, server, unprivileged_directory};
use crate::support::{Home, output_of};

/// Makes certificates of each kind, in a directory of the server's own user.
fn certificates(directory: &Path) {
    let openssl =
        |arguments: &str| output_of(Command::new("openssl").args(arguments.split(' ')).current_dir(directory));
    let new = "req -newkey rsa:2048 -nodes -days 30";
    let signed = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 30";
    for authority in ["ca", "other-ca"] {
        openssl(&format!("{new} -x509 -keyout {authority}.key -out {authority}.crt -subj /CN=tudb-{authority}"));
    }
    for (name, names) in [("good", "DNS:localhost"), ("misnamed", "DNS:elsewhere.example")] {
        let extensions = format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n");
        std::fs::write(directory.join(format!("{name}.ext")), extensions).unwrap();
        openssl(&format!("{new} -keyout {name}.key -out {name}.csr -subj /CN=localhost"));
        openssl(&format!("x509 -req -in {name}.csr {signed} -extfile {name}.ext -out {name}.crt"));
    }
    openssl(&format!(
        "{new} -x509 -keyout self.key -out self.crt -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    ));
    // Without extensions OpenSSL makes version 1. Newer releases need an option for that.
    openssl(&format!("x509 -req -in good.csr {signed} -out old.crt"));
    if !openssl("x509 -in old.crt -noout -text").contains("Version: 1") {
        openssl("req -x509 -x509v1 -key good.key -days 30 -subj /CN=localhost -out old.crt");
    }
    std::fs::copy(directory.join("good.key"), directory.join("old.key")).unwrap();
    let owner = if is_root() { " && chown nobody:nogroup *" } else { "" };
    let modes = format!("chmod 600 *.key && chmod 644 *.crt && chmod 755 .{owner}");
    output_of(Command::new("sh").args(["-c", &modes]).current_dir(directory));
}

/// A server with TLS, and rules for who may connect with or without it.
fn tls_server(directory: &Path) -> Postgres {
    certificates(directory);
    let hba = directory.join("hba.conf");
    std::fs::write(
        &hba,
        "hostssl all only_tls 127.0.0.1/32 trust\nhostnossl all only_plain 127.0.0.1/32 trust\n\
         hostnossl all only_tls 127.0.0.1/32 reject\nhostssl all only_plain 127.0.0.1/32 reject\n\
         host all secretive 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n",
    )
    .unwrap();
    output_of(Command::new("chmod").arg("644").arg(&hba));
    let path = |name: &str| directory.join(name).display().to_string();
    let server = Postgres::with_settings(&[
        ("ssl", "on"),
        ("ssl_cert_file", &path("good.crt")),
        ("ssl_key_file", &path("good.key")),
        ("hba_file", &hba.display().to_string()),
    ]);
    server.script(
        "postgres",
        "CREATE ROLE only_tls LOGIN; CREATE ROLE only_plain LOGIN; CREATE ROLE secretive LOGIN PASSWORD 's3cret-word';",
    );
    server
}

/// Whether the server sees the connection of this string as encrypted, or the error's code and text.
fn attempt(postgres: &Postgres, url: &str) -> Result<bool, (String, String)> {
    let home = Home::new("tls").set("TUDB_DATABASE_URL", url);
    let mut server = home.serve();
    let reply = server.call("run_sql", json!({"sql": "SELECT 1"}));
    let stderr = server.stderr.lock().unwrap().clone();
    assert!(!reply.to_string().contains("s3cret-word") && !stderr.contains("s3cret-word"));
    match reply.get("error") {
        None => {
            let seen = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'tudb%'";
            Ok(postgres.query("postgres", seen) == "t")
        }
        Some(error) => {
            let text = format!("{}. {}", error["message"], error["hint"]);
            Err((error["code"].as_str().unwrap().to_owned(), text))
        }
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn tls_means_what_libpq_means() {
    let directory = unprivileged_directory("tls");
    // One server after the other, because a command-line setting cannot change in a running server.
    let server = tls_server(&directory);
    let url =
        |user: &str, host: &str, query: &str| format!("postgres://{user}@{host}:{}/postgres?{query}", server.port);
    let root = |name: &str| format!("sslrootcert={}", directory.join(name).display());
    let ok_at = |at: &Postgres, url: String, encrypted: bool| assert_eq!(attempt(at, &url), Ok(encrypted), "{url}");
    let ok = |url: String, encrypted: bool| ok_at(&server, url, encrypted);
    let fails = |url: String, code: &str, word: &str| {
        let (seen, text) = attempt(&server, &url).expect_err(&url);
        assert_eq!(seen, code, "{url}: {text}");
        assert!(text.contains(word), "{url}: {text}");
    };
    ok(url("postgres", "localhost", "sslmode=disable"), false);
    ok(url("postgres", "localhost", "sslmode=allow"), false);
    ok(url("postgres", "localhost", "sslmode=prefer"), true);
    ok(url("postgres", "localhost", ""), true);
    ok(url("postgres", "localhost", "sslmode=require"), true);
    ok(url("postgres", "localhost", &format!("sslmode=require&{}", root("ca.crt"))), true);
    ok(url("postgres", "localhost", &format!("sslmode=verify-ca&{}", root("ca.crt"))), true);
    ok(url("postgres", "localhost", &format!("sslmode=verify-full&{}", root("ca.crt"))), true);
    // `require` with a root is `verify-ca`.
    fails(
        url("postgres", "localhost", &format!("sslmode=require&{}", root("other-ca.crt"))),
        "tls_failed",
        "authority that is not known",
    );
    fails(
        url("postgres", "localhost", &format!("sslmode=verify-full&{}", root("other-ca.crt"))),
        "tls_failed",
        "sslrootcert",
    );
    fails(url("postgres", "localhost", "sslmode=verify-full"), "tls_failed", "authority that is not known");
    fails(url("postgres", "localhost", "sslmode=verify-full&sslrootcert=/none.crt"), "config_error", "cannot be found");
    // A known authority, but another host name.
    ok(url("postgres", "127.0.0.1", &format!("sslmode=verify-ca&{}", root("ca.crt"))), true);
    fails(
        url("postgres", "127.0.0.1", &format!("sslmode=verify-full&{}", root("ca.crt"))),
        "tls_failed",
        "another name",
    );
    // `allow` and `prefer` switch to the other mode if the server requires it.
    ok(url("only_tls", "localhost", "sslmode=allow"), true);
    fails(url("only_tls", "localhost", "sslmode=disable"), "tls_failed", "Set sslmode=require");
    ok(url("only_plain", "localhost", "sslmode=prefer"), false);
    fails(url("only_plain", "localhost", "sslmode=require"), "auth_failed", "sslmode=disable");
    // Passwords.
    fails(url("secretive", "localhost", ""), "auth_failed", "No password is set");
    fails(url("secretive:wrong", "localhost", ""), "auth_failed", "Check user and password");
    ok(url("secretive:s3cret-word", "localhost", ""), true);
    fails(url("nobody_known", "localhost", "sslmode=disable"), "tls_failed", "pg_hba.conf");
    fails(url("nobody_known", "localhost", "sslmode=require"), "auth_failed", "pg_hba.conf");
    fails(format!("postgres://postgres@localhost:{}/nothing", server.port), "database_missing", "database");
    fails(
        format!("postgres://postgres@localhost:{}/x?sslmode=disable", free_port()),
        "unreachable",
        "Nothing listens there",
    );
    a_changed_password_is_asked_for_again(&server);
    // Certificates that not every mode accepts.
    for (name, mode, expected) in [
        ("misnamed", "verify-full", Some("another name")),
        ("misnamed", "verify-ca", None),
        ("self", "require", None),
        ("self", "verify-full", Some("self-signed")),
        ("old", "require", Some("X.509 version 1")),
        ("old", "verify-ca", Some("X.509 version 1")),
    ] {
        let path = |kind: &str| directory.join(format!("{name}.{kind}")).display().to_string();
        let server =
            Postgres::with_settings(&[("ssl", "on"), ("ssl_cert_file", &path("crt")), ("ssl_key_file", &path("key"))]);
        let root = if name == "self" { "self.crt" } else { "ca.crt" };
        let root =
            if mode == "require" { String::new() } else { format!("&sslrootcert={}", directory.join(root).display()) };
        let url = format!("postgres://postgres@localhost:{}/postgres?sslmode={mode}{root}", server.port);
        match expected {
            None => ok_at(&server, url, true),
            Some(word) => fails(url, "tls_failed", word),
        }
    }
    // A server without TLS.
    let plain = crate::support::postgres::server();
    let url = |mode: &str| format!("postgres://postgres@localhost:{}/postgres?sslmode={mode}", plain.port);
    ok_at(plain, url("prefer"), false);
    ok_at(plain, url("allow"), false);
    fails(url("require"), "tls_failed", "offers no encryption");
    std::fs::remove_dir_all(directory).unwrap();
}

/// A password from a file or a command is read again when the server refuses the old one.
fn a_changed_password_is_asked_for_again(postgres: &Postgres) {
    for form in ["password_file = \"FILE\"", "password_command = [\"cat\", \"FILE\"]"] {
        postgres.query("postgres", "ALTER ROLE secretive PASSWORD 's3cret-word'");
        let home = Home::new("rotated");
        let file = home.scratch.path("password");
        std::fs::write(&file, "s3cret-word\n").unwrap();
        let url = format!("postgres://secretive@localhost:{}/postgres", postgres.port);
        let config = home.scratch.path("tudb.toml");
        let form = form.replace("FILE", &file.display().to_string());
        std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n{form}\n")).unwrap();
        let home = home.set("TUDB_CONFIG", config.display());
        let mut server = home.serve();
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
        postgres.query("postgres", "ALTER ROLE secretive PASSWORD 'an0ther-word'");
        std::fs::write(&file, "an0ther-word\n").unwrap();
        postgres.query(
            "postgres",
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'secretive'",
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT 2"}))["rows"], json!([[2]]), "{form}");
        assert!(!server.stderr.lock().unwrap().contains("word"));
    }
    postgres.query("postgres", "ALTER ROLE secretive PASSWORD 's3cret-word'");
}

#[test]
fn an_rds_token_is_never_sent_unencrypted() {
    let home = Home::new("iam");
    let config = home.scratch.path("tudb.toml");
    let source = "[sources.main]\nurl = \"postgres://reader@localhost:1/d?sslmode=prefer\"\nauth = \"rds-iam\"\nregion = \"eu-west-1\"\n";
    std::fs::write(&config, source).unwrap();
    let home = home.set("TUDB_CONFIG", config.display()).set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    let home = home.set("AWS_SECRET_ACCESS_KEY", "planted-k3y");
    let ask = || home.serve().call("run_sql", json!({"sql": "SELECT 1"}))["error"].clone();
    let error = ask();
    assert_eq!(error["code"], "config_error");
    assert!(error["message"].as_str().unwrap().contains("unencrypted"), "{error}");
    std::fs::write(&config, source.replace("prefer", "require")).unwrap();
    let error = ask();
    assert_eq!(error["code"], "unreachable", "{error}");
    assert!(!error.to_string().contains("planted-k3y") && !error.to_string().contains("X-Amz"));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_first_host_that_works_is_taken() {
    let (database, _) = server().database("hosts");
    let port = server().port;
    for list in [
        format!("127.0.0.1:{},127.0.0.1:{port}", free_port()),
        format!("127.0.0.1:{port},127.0.0.1:{}", free_port()),
        format!("nowhere.invalid:{port},127.0.0.1:{port}"),
    ] {
        let home = Home::new("hosts")
            .set("TUDB_DATABASE_URL", format!("postgres://postgres@{list}/{database}?sslmode=disable"));
        assert_eq!(home.serve().call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]), "{list}");
    }
    let standby =
        format!("postgres://postgres@127.0.0.1:{port}/{database}?sslmode=disable&target_session_attrs=standby");
    let home = Home::new("hosts").set("TUDB_DATABASE_URL", &standby);
    let error = home.serve().call("run_sql", json!({"sql": "SELECT 1"}))["error"].clone();
    assert_eq!(error["code"], "unreachable");
    assert!(error["hint"].as_str().unwrap().contains("none is a standby"), "{error}");
    for role in ["primary", "prefer-standby", "read-write", "any"] {
        let url = standby.replace("standby", role);
        let home = Home::new("hosts").set("TUDB_DATABASE_URL", url);
        assert_eq!(home.serve().call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]), "{role}");
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn strings_of_every_form_reach_the_server() {
    let (database, _) = server().database("forms");
    let port = server().port;
    let ask =
        |home: Home| home.serve().call("run_sql", json!({"sql": "SELECT current_database()"}))["rows"][0][0].clone();
    let keywords = format!("host=127.0.0.1 port={port} user=postgres dbname={database} sslmode=disable");
    assert_eq!(ask(Home::new("forms").set("TUDB_DATABASE_URL", &keywords)), json!(database));
    let raw = format!("postgres://postgres:p@ss/w#rd?@127.0.0.1:{port}/{database}?sslmode=disable");
    assert_eq!(ask(Home::new("forms").set("TUDB_DATABASE_URL", raw)), json!(database));
    // libpq's variables alone.
    let home = Home::new("forms").set("PGHOST", "127.0.0.1").set("PGPORT", port).set("PGUSER", "postgres");
    assert_eq!(ask(home.set("PGDATABASE", &database).set("PGSSLMODE", "disable")), json!(database));
    // A service.
    let home = Home::new("forms");
    let text = format!("[shop]\nhost=127.0.0.1\nport={port}\nuser=postgres\ndbname={database}\nsslmode=disable\n");
    std::fs::write(home.scratch.path(".pg_service.conf"), text).unwrap();
    assert_eq!(ask(home.set("TUDB_DATABASE_URL", "service=shop")), json!(database));
}

#[test]
fn the_chosen_source_is_said_at_the_start_without_a_secret() {
    let home = Home::new("said").set(
        "TUDB_DATABASE_URL",
        "postgres://reader:pl4nted@aws-0-eu-central-1.pooler.supabase.com:6543/postgres?options=-c%20x=pl4nted",
    );
    let server = home.serve();
    let began = std::time::Instant::now();
    let place = "tudb: source main: aws-0-eu-central-1.pooler.supabase.com:6543 database postgres as reader, sslmode require, \
                 transaction pooler (supabase)";
    while !server.stderr.lock().unwrap().contains(place) {
        assert!(began.elapsed() < crate::support::PATIENCE, "{}", server.stderr.lock().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let stderr = server.stderr.lock().unwrap();
    assert!(stderr.contains("source main from TUDB_DATABASE_URL") && !stderr.contains("pl4nted"), "{stderr}");
}

/// `options` of the string, the spelling of Java clients, and a part that is wrong.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn connection_strings_of_other_clients_are_read() {
    let postgres = server();
    let (database, _) = postgres.database("strings");
    postgres.script(&database, "CREATE SCHEMA app; CREATE TABLE app.t AS SELECT 7 AS n");
    let place = format!("127.0.0.1:{}/{database}", postgres.port);
    let path = json!([["app", 7]]);
    for url in [
        format!("postgres://postgres@{place}?sslmode=disable&options=-c%20search_path%3Dapp"),
        format!("postgres://postgres@{place}?sslmode=disable&options=-c search_path=app"),
        format!("jdbc:postgresql://{place}?user=postgres&sslmode=disable&options=-csearch_path=app"),
        format!(
            "host=127.0.0.1 port={} user=postgres dbname={database} sslmode=disable options='-c search_path=app'",
            postgres.port
        ),
    ] {
        let mut server = Home::new("strings").set("TUDB_DATABASE_URL", &url).serve();
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT current_schema(), n FROM t"}))["rows"], path, "{url}");
    }
    let mut server = Home::new("strings").set("TUDB_DATABASE_URL", "postgres://me:pl4nted@127.0.0.1:54a2/shop").serve();
    let reply = server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert!(reply["error"]["message"].as_str().unwrap().contains("its port must be a number"), "{reply}");
    assert!(!reply.to_string().contains("pl4nted"));
}

/// Variables that Kubernetes sets for a service named `tudb`.
#[test]
fn variables_of_a_service_are_ignored_and_others_are_errors() {
    let home = Home::new("kubernetes")
        .set("TUDB_PORT", "tcp://10.0.0.7:80")
        .set("TUDB_SERVICE_HOST", "10.0.0.7")
        .set("TUDB_PORT_80_TCP_ADDR", "10.0.0.7");
    let mut server = home.serve();
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
    let mut server = Home::new("misspelt").set("TUDB_MAX_ROW", "5").serve();
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["error"]["code"], "config_error");
}
