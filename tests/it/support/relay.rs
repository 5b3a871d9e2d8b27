//! A network that fails: a relay on its own port between the program and a server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the relay treats its connections. Shared with its threads.
#[derive(Default)]
struct Mood {
    /// Passes nothing on, in either direction.
    silent: AtomicBool,
    /// Closes each new connection at once.
    closes: AtomicBool,
    /// Becomes silent as soon as the client sends this.
    trap: Mutex<Option<Vec<u8>>>,
    /// Each connection becomes silent as soon as its client sends this.
    trap_of_each: Mutex<Option<Vec<u8>>>,
    /// Milliseconds before a new connection reaches the server.
    delay_ms: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

/// The relay. Its threads end with the test program.
pub struct Relay {
    pub port: u16,
    mood: Arc<Mood>,
}

impl Relay {
    pub fn to(server_port: u16) -> Self {
        Self::at(0, server_port)
    }

    /// Starts the relay on a given port.
    pub fn at(port: u16, server_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mood = Arc::new(Mood::default());
        let shared = Arc::clone(&mood);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, mood) = (client.unwrap(), Arc::clone(&shared));
                if mood.closes.load(Ordering::SeqCst) {
                    continue;
                }
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(mood.delay_ms.load(Ordering::SeqCst)));
                    let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) else { return };
                    mood.open.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                    let pairs = [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
                    for (from, to) in pairs {
                        let mood = Arc::clone(&mood);
                        std::thread::spawn(move || pass(from, to, &mood));
                    }
                });
            }
        });
        Relay { port, mood }
    }

    /// Passes nothing on from here on: the network is gone, and no side gets an error. `false` ends every silence.
    pub fn silence(&self, silent: bool) {
        *self.mood.trap_of_each.lock().unwrap() = None;
        self.mood.silent.store(silent, Ordering::SeqCst);
    }

    /// Becomes silent as soon as the client sends `word`.
    pub fn silent_at(&self, word: &str) {
        *self.mood.trap.lock().unwrap() = Some(word.as_bytes().to_vec());
    }

    /// A connection becomes silent as soon as its client sends `word`.
    pub fn silence_each_at(&self, word: &str) {
        *self.mood.trap_of_each.lock().unwrap() = Some(word.as_bytes().to_vec());
    }

    pub fn close_new(&self, closes: bool) {
        self.mood.closes.store(closes, Ordering::SeqCst);
    }

    pub fn delay(&self, delay: Duration) {
        self.mood.delay_ms.store(delay.as_millis() as u64, Ordering::SeqCst);
    }

    /// Closes every open connection.
    pub fn cut(&self) {
        for stream in self.mood.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mood: &Mood) {
    let mut bytes = [0; 16_384];
    while let Ok(count) = from.read(&mut bytes) {
        let is_in = |word: &Vec<u8>| bytes[..count].windows(word.len()).any(|part| part == word);
        let is_trapped = mood.trap_of_each.lock().unwrap().as_ref().is_some_and(is_in);
        let mut trap = mood.trap.lock().unwrap();
        if trap.as_ref().is_some_and(is_in) {
            *trap = None;
            mood.silent.store(true, Ordering::SeqCst);
        }
        drop(trap);
        while mood.silent.load(Ordering::SeqCst) || is_trapped && mood.trap_of_each.lock().unwrap().is_some() {
            std::thread::sleep(Duration::from_millis(10));
        }
        if count == 0 || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
