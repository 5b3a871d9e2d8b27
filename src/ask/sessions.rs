//! Remembers the last answered questions of a session and their statements, so that a later question can refer to them.
//! They are kept in memory, separately for each source, user and session.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::database::value::cut;
use crate::gateway::AskDatabase;

/// Maximum number of turns of a session that are remembered.
const TURNS: usize = 4;
/// Maximum number of sessions. The least recently used session is dropped first.
const SESSIONS: usize = 200;
/// Maximum bytes of a remembered question, and of a remembered statement. Longer texts are cut.
const MAX_BYTES: usize = 2_000;

/// One question and the statement that answered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub question: String,
    pub sql: String,
}

/// Source, user and session. The user is part of the key, so that nobody reads another user's session.
type Key = (String, Option<String>, String);

/// The sessions of a process.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Key, (Instant, VecDeque<Turn>)>>);

fn key(source: &str, request: &AskDatabase) -> Option<Key> {
    let session = request.session_id.as_ref().filter(|session| !session.is_empty())?;
    Some((source.to_owned(), request.user_id.clone(), session.clone()))
}

impl Sessions {
    /// Returns the earlier turns of the session, oldest first. Empty if the request has no session id.
    pub(super) fn before(&self, source: &str, request: &AskDatabase) -> Vec<Turn> {
        let Some(key) = key(source, request) else { return Vec::new() };
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((used_at, turns)) = sessions.get_mut(&key) else { return Vec::new() };
        *used_at = Instant::now();
        turns.iter().cloned().collect()
    }

    /// Remembers an answered question. If the user chose a reading of the question, the reading is remembered instead.
    /// Does nothing if the request has no session id.
    pub(super) fn add(&self, source: &str, request: &AskDatabase, sql: &str) {
        let Some(key) = key(source, request) else { return };
        let question = request.choice.as_ref().unwrap_or(&request.question);
        let turn = Turn { question: cut(question, MAX_BYTES).to_owned(), sql: cut(sql, MAX_BYTES).to_owned() };
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS && !sessions.contains_key(&key) {
            let oldest = sessions.iter().min_by_key(|(_, (used_at, _))| *used_at).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| sessions.remove(&oldest));
        }
        let (used_at, turns) = sessions.entry(key).or_insert_with(|| (Instant::now(), VecDeque::new()));
        *used_at = Instant::now();
        turns.push_back(turn);
        if turns.len() > TURNS {
            turns.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(question: &str, user: Option<&str>, session: &str) -> AskDatabase {
        AskDatabase {
            question: question.into(),
            user_id: user.map(str::to_owned),
            session_id: Some(session.into()),
            ..AskDatabase::default()
        }
    }

    #[test]
    fn a_session_is_its_users_own_and_bounded() {
        let sessions = Sessions::default();
        for number in 0..6 {
            sessions.add("main", &asks(&format!("question {number}"), Some("ann"), "s"), "SELECT 1");
        }
        let seen = |source: &str, user, session: &str| sessions.before(source, &asks("next", user, session));
        let turns = seen("main", Some("ann"), "s");
        assert_eq!(
            (turns.len(), turns[0].question.as_str(), turns[3].question.as_str()),
            (4, "question 2", "question 5")
        );
        for (source, user, session) in [
            ("main", Some("bob"), "s"),
            ("main", None, "s"),
            ("other", Some("ann"), "s"),
            ("main", Some("ann"), "t"),
            ("main", Some("ann"), ""),
        ] {
            assert_eq!(seen(source, user, session), [], "{source} {user:?} {session}");
        }
        for number in 0..300 {
            sessions.add("main", &asks("q", None, &number.to_string()), &"x".repeat(5_000));
        }
        assert_eq!(seen("main", Some("ann"), "s"), [], "the oldest went");
        assert_eq!(sessions.0.lock().unwrap().len(), SESSIONS);
        assert_eq!(seen("main", None, "299")[0].sql.len(), MAX_BYTES);
    }
}
