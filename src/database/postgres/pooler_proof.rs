//! Proves that a connection leads from this process to the server itself, without a pooler or an address translation.
//!
//! The proof: the server reports both ends of the connection, and this process has a socket with the same two ends.
//! Linux lists the sockets of a process; on other systems nothing is proved. pgpool-II is known by an answer of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sqlx::Executor;
use sqlx::postgres::PgConnection;

/// An end of a connection: address and port.
pub(super) type End = (IpAddr, u16);

/// True if this process has a socket from `client` to `server`.
pub(super) fn is_own_socket(client: End, server: End) -> bool {
    let tables =
        ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let inode = tables.iter().flat_map(|table| table.lines()).find_map(|line| inode_of(line, client, server));
    let Some(wanted) = inode.map(|inode| format!("socket:[{inode}]")) else { return false };
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return false };
    open.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()))
}

/// Returns the inode of the socket if a line of the kernel's table is about these two ends.
fn inode_of(line: &str, client: End, server: End) -> Option<&str> {
    let mut fields = line.split_whitespace();
    let (local, remote) = (end(fields.nth(1)?)?, end(fields.next()?)?);
    (local == client && remote == server).then(|| fields.nth(6)).flatten().filter(|inode| *inode != "0")
}

/// Parses `0100007F:1538`: the address in 32-bit words of the machine's byte order, and the port, both in hexadecimal.
fn end(text: &str) -> Option<End> {
    let (address, port) = text.split_once(':')?;
    let words: Vec<u8> = address
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok().map(u32::to_ne_bytes))
        .collect::<Option<Vec<[u8; 4]>>>()?
        .concat();
    let address = match words.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(words).ok()?)),
        16 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?)).to_canonical(),
        _ => return None,
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

/// True if the connection goes through pgpool-II. pgpool-II answers `SHOW pool_version` itself; PostgreSQL reports an
/// unknown setting.
/// Source: <https://www.pgpool.net/docs/latest/en/html/sql-show-pool-version.html>.
pub(super) async fn is_pgpool(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match connection.fetch_optional("SHOW pool_version").await {
        Ok(row) => Ok(row.is_some()),
        Err(sqlx::Error::Database(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_ones_own_is_told_from_another() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(at) else { continue };
            let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let end = |address: std::net::SocketAddr| (address.ip(), address.port());
            let (own, other) = (end(client.local_addr().unwrap()), end(client.peer_addr().unwrap()));
            assert!(is_own_socket(own, other), "{at}");
            assert!(!is_own_socket(own, (other.0, other.1 ^ 1)));
            assert!(!is_own_socket((own.0, own.1 ^ 1), other));
            drop(client);
        }
        let line = "   1: 0100007F:1538 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 20 4 30 10 -1";
        let here = |port| (IpAddr::from([127, 0, 0, 1]), port);
        assert_eq!(inode_of(line, here(5432), here(50_000)), Some("4711"));
        assert_eq!(inode_of(line, here(50_000), here(5432)), None);
    }
}
