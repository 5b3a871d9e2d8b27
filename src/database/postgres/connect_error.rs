//! Classifies failed connections. Each class has one sentence about the cause and one remedy.

use rustls::{CertificateError, Error as TlsError};

use crate::database::DatabaseError;
use crate::database::presets::Preset;

/// Converts a failed connection into the error for the caller. The original error is logged, because it may name hosts
/// and users. The caller gets its text only for TLS, settings, and SQL errors without a class.
pub(super) fn explain(error: sqlx::Error, source_name: &str, preset: &Preset, has_password: bool) -> DatabaseError {
    let source_name = source_name.to_owned();
    tracing::warn!(source = source_name, %error, "cannot connect");
    let tls = |reason: &str, remedy: &str| DatabaseError::Tls {
        source_name: source_name.clone(),
        reason: reason.to_owned(),
        remedy: remedy.to_owned(),
    };
    match &error {
        sqlx::Error::Database(refused) => match (refused.code().as_deref(), refused.message()) {
            // Servers that require TLS, such as RDS, answer with this text. They send the same text if pg_hba.conf has
            // no line for the user.
            (Some("28000"), message) if message.contains("no encryption") => tls(
                "the server takes no unencrypted connection of this client and user",
                "Set sslmode=require; if that is refused too, have a line put into the server's pg_hba.conf.",
            ),
            (Some("28000"), message) if message.contains("pg_hba.conf") => DatabaseError::AuthFailed {
                source_name,
                remedy:
                    "Have a line for this client, user and database put into the server's pg_hba.conf; if it has one \
                         for unencrypted connections only, set sslmode=disable."
                        .into(),
            },
            (Some("28000"), message) if message.contains("PAM") => DatabaseError::AuthFailed {
                source_name,
                remedy:
                    "An RDS token is refused when it is older than 15 minutes, signed for another host, port, user or \
                         region, or when the role lacks rds_iam or the policy rds-db:connect."
                        .into(),
            },
            (Some("28P01"), _) if !has_password => DatabaseError::AuthFailed {
                source_name,
                remedy: "No password is set: put it into the url, PGPASSWORD, ~/.pgpass, password_file or \
                         password_command."
                    .into(),
            },
            (Some("28P01" | "28000"), _) => DatabaseError::AuthFailed {
                source_name,
                remedy:
                    "Check user and password of the source; behind a pooler the user name may have to be user.project."
                        .into(),
            },
            (Some("3D000"), _) => DatabaseError::Missing { source_name, message: "the database does not exist".into() },
            (Some("53300"), _) => DatabaseError::TooManyConnections { source_name },
            (Some("57P03"), _) => unreachable(source_name, "The server is starting or shutting down: try again."),
            // invalid_parameter_value, undefined_object, syntax_error, insufficient_privilege: the server refuses a setting of
            // `options`. The text after the colon is the value of the setting, which may be a secret.
            (Some("22023" | "42704" | "42601" | "42501"), message) if !message.starts_with("permission denied for") => {
                let problem = message.split(": ").next().unwrap_or_default();
                let problem =
                    format!("the server refuses a setting of the connection ({problem}): check options and time_zone");
                DatabaseError::Config { source_name, problem }
            }
            _ => super::sql_error(error, None),
        },
        sqlx::Error::Tls(reason) if reason.to_string().contains("does not support TLS") => {
            tls("the server offers no encryption", "Set sslmode=prefer, or disable if the network is trusted.")
        }
        sqlx::Error::Tls(reason) => certificate(reason.as_ref())
            .map_or_else(|| tls(&reason.to_string(), OTHER_TLS), |(reason, remedy)| tls(reason, remedy)),
        sqlx::Error::Configuration(problem) => DatabaseError::Config { source_name, problem: problem.to_string() },
        sqlx::Error::Io(io) => {
            if let Some((reason, remedy)) = io.get_ref().and_then(|inner| certificate(inner)) {
                return tls(reason, remedy);
            }
            let text = io.to_string();
            let remedy = match io.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    "Nothing listens there: check that PostgreSQL runs and that host and port are right (in a container \
                     localhost is the container itself: host.docker.internal)."
                }
                _ if text.contains("lookup address") || text.contains("not known") => {
                    "The host's name is not known: check its spelling and the network."
                }
                std::io::ErrorKind::NetworkUnreachable | std::io::ErrorKind::HostUnreachable => {
                    "There is no way to that address; a host that has only an IPv6 address needs its pooler's name."
                }
                std::io::ErrorKind::NotFound => "There is no such socket: check the host's directory and the port.",
                _ => preset.unreachable,
            };
            // For a known provider, the provider's own remedy is more likely to help than the general one.
            let remedy = if preset.name == "postgres" { remedy } else { preset.unreachable };
            unreachable(source_name, remedy)
        }
        _ => DatabaseError::Connection(error),
    }
}

pub(super) fn unreachable(source_name: String, remedy: &str) -> DatabaseError {
    DatabaseError::Unreachable { source_name, hint: remedy.to_owned() }
}

const OTHER_TLS: &str =
    "Set sslmode to what the server offers, and sslrootcert to its authority's file for verify-full.";

/// Returns what is wrong with the certificate of the server, and the remedy. `None` if the error is not about TLS.
fn certificate(error: &(dyn std::error::Error + 'static)) -> Option<(&'static str, &'static str)> {
    let tls = error.downcast_ref::<TlsError>().or_else(|| error.source()?.downcast_ref::<TlsError>())?;
    let TlsError::InvalidCertificate(problem) = tls else {
        return Some(("the TLS handshake failed", OTHER_TLS));
    };
    Some(match problem {
        CertificateError::UnknownIssuer => (
            "an authority that is not known here signed the server's certificate",
            "Set sslrootcert to that authority's file (Supabase: prod-ca-2021.crt, RDS: global-bundle.pem), or \
             sslmode=require without one to encrypt only.",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "the server's certificate is for another name",
            "Connect by the name in the certificate, or set sslmode=verify-ca.",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("the server's certificate has expired", "Have it renewed, and check this machine's clock.")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("the server's certificate is not valid yet", "Check this machine's clock.")
        }
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => (
            "the server uses an authority's certificate, or a self-signed one, as its own",
            "Have the server use one that an authority signed, or set sslmode=require without sslrootcert to encrypt only.",
        ),
        other if format!("{other:?}").contains("UnsupportedCertVersion") => (
            "the server's certificate is of X.509 version 1, which cannot be read in any mode",
            "Have it renewed (Railway: redeploy the database), or use sslmode=disable on a private network.",
        ),
        _ => ("the server's certificate cannot be verified", OTHER_TLS),
    })
}

/// True if the server cancelled the opening message, for example because an administrator wanted to end the statement
/// before it. No text of a caller is in the message, so another connection is opened.
pub(super) fn is_cancelled(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some("57014")
}

/// True if the server closed the connection while it was opened.
pub(super) fn is_closed(error: &sqlx::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error, sqlx::Error::Io(error)
        if matches!(error.kind(), ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof))
}
