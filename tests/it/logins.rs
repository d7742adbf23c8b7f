//! A query goes by a connection of its own: it logs in, and is encrypted, as the driver would.

use crate::common::servers::{Postgres, run_sql, texts};
use crate::common::{chatctl, text};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

fn inspect(url: &str) -> (Option<i32>, String, String) {
    let sql = "SELECT session_user, (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS encrypted";
    let output = chatctl()
        .args([
            "inspect",
            "sql",
            "--format",
            "csv",
            "--database-url",
            url,
            sql,
        ])
        .output()
        .unwrap();
    let (out, err) = text(&output);
    (output.status.code(), out, err)
}

/// Lets users in by these rules from now on.
fn rules(server: &mut Postgres, rules: &str) {
    let path = texts(&server.url(), "SHOW hba_file");
    fs::write(
        &path[0],
        format!("local all all trust\nhost all postgres 127.0.0.1/32 trust\n{rules}\n"),
    )
    .unwrap();
    server.restart();
}

#[test]
fn every_kind_of_password_is_taken() {
    let mut server = Postgres::start();
    run_sql(
        &server.url(),
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE scram LOGIN PASSWORD 'p@ss/wörd'; CREATE ROLE plain LOGIN PASSWORD 'p@ss/wörd';
         SET password_encryption = 'md5'; CREATE ROLE md LOGIN PASSWORD 'p@ss/wörd'",
    );
    rules(
        &mut server,
        "host all scram 127.0.0.1/32 scram-sha-256\nhost all md 127.0.0.1/32 md5\nhost all plain 127.0.0.1/32 password",
    );
    for user in ["scram", "md", "plain"] {
        let url = server
            .url()
            .replace("postgres@", &format!("{user}:p%40ss%2Fw%C3%B6rd@"));
        let (code, out, err) = inspect(&url);
        assert_eq!(code, Some(0), "{user}: {err}");
        assert!(out.contains(&format!("{user},false")), "{out}");
        let (code, _, err) = inspect(&url.replace("p%40ss", "wrong"));
        assert_eq!(code, Some(3), "{user}: {err}");
        assert!(!err.contains("wrong%2F") && !err.contains("w%C3"), "{err}");
    }
}

fn pem(label: &str, bytes: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(bytes);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

#[test]
fn encryption_is_what_the_url_asks_for() {
    let mut server = Postgres::start();
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let elsewhere = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let data = texts(&server.url(), "SHOW data_directory").remove(0);
    let owner = fs::metadata(&data).unwrap();
    for (name, content) in [
        ("server.crt", pem("CERTIFICATE", key.cert.der())),
        (
            "server.key",
            pem("PRIVATE KEY", &key.signing_key.serialize_der()),
        ),
    ] {
        let path = Path::new(&data).join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    run_sql(&server.url(), "ALTER SYSTEM SET ssl = on");
    run_sql(&server.url(), "CREATE ROLE bob LOGIN PASSWORD 'x'");
    rules(&mut server, "hostssl all bob 127.0.0.1/32 scram-sha-256");
    let folder = tempfile::tempdir().unwrap();
    let (root, other) = (
        folder.path().join("root.pem"),
        folder.path().join("other.pem"),
    );
    fs::write(&root, pem("CERTIFICATE", key.cert.der())).unwrap();
    fs::write(&other, pem("CERTIFICATE", elsewhere.cert.der())).unwrap();
    let bob = server.url().replace("postgres@", "bob:x@");
    let (root, other) = (root.display(), other.display());
    for (parameters, code) in [
        ("".to_owned(), 0),
        ("?sslmode=prefer".to_owned(), 0),
        ("?sslmode=require".to_owned(), 0),
        ("?sslmode=disable".to_owned(), 3),
        (format!("?sslmode=verify-ca&sslrootcert={root}"), 0),
        (format!("?sslmode=verify-full&sslrootcert={root}"), 0),
        (format!("?sslmode=verify-full&sslrootcert={other}"), 3),
        ("?sslmode=verify-full".to_owned(), 3),
    ] {
        let (told, out, err) = inspect(&format!("{bob}{parameters}"));
        assert_eq!(told, Some(code), "{parameters}: {err}");
        assert!(code != 0 || out.contains("bob,true"), "{parameters}: {out}");
    }
}
