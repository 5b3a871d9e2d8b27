//! Keeps the kernel's receive buffers of database connections small, so that a reader meets an empty buffer often.
//!
//! The driver reads a message until it is whole or until nothing is there to be read. [`crate::allocation::Bounded`]
//! can end a message that is too long only when nothing is there, and with the kernel's usual buffers of several MB a
//! server on the same machine can send faster than that ever happens (528 MB of one error were read at once). The
//! driver does not give its sockets away, so every socket of this process that leads to the server's port is treated.

#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, RawFd};

use rustix::net::getpeername;
use rustix::net::sockopt::set_socket_recv_buffer_size;

/// Bytes that the kernel keeps for a reader; Linux doubles them.
const RECEIVE_BUFFER_BYTES: usize = 32 << 10;

/// Makes the receive buffers small of all sockets that lead to one of `ports`. A socket of the machine itself (a path) has small
/// buffers anyway.
pub(super) fn shrink(ports: &[u16]) {
    // Linux lists a process's own descriptors in the first place, macOS in the second.
    let Ok(open) = std::fs::read_dir("/proc/self/fd").or_else(|_| std::fs::read_dir("/dev/fd")) else { return };
    let descriptors = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    for descriptor in descriptors.filter(|descriptor| *descriptor > 2) {
        // SAFETY: the descriptor is used for two calls that take any number: one that is closed in the meantime, or
        // that is no socket, gives an error, and a smaller buffer harms no other socket.
        let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let peer = getpeername(socket).ok().flatten();
        let peer = peer.and_then(|peer| std::net::SocketAddr::try_from(peer).ok());
        if peer.is_some_and(|peer| ports.contains(&peer.port())) {
            let _ = set_socket_recv_buffer_size(socket, RECEIVE_BUFFER_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_socket_to_the_port_gets_a_small_buffer_and_another_does_not() {
        let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
        let sockets = ports.map(|port| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap());
        let bytes = |at: usize| rustix::net::sockopt::socket_recv_buffer_size(sockets[at].as_fd()).unwrap();
        let before = bytes(1);
        shrink(&ports[..1]);
        assert!(bytes(0) <= 2 * RECEIVE_BUFFER_BYTES, "{}", bytes(0));
        assert_eq!(bytes(1), before);
    }
}
