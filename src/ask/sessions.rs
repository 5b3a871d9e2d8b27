//! Remembers the last answered questions of a session and their statements, to which a later question can refer. Also
//! remembers the choices of a clarification, of which a later call can name one. Both are kept in memory, separately for
//! each source and user.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::toolset::Choice;
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

    /// Remembers an answered question, or the reading of it that the user chose. Does nothing if the request has no
    /// session id.
    pub(super) fn add(&self, source: &str, request: &AskDatabase, question: &str, sql: &str) {
        let Some(key) = key(source, request) else { return };
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

/// Maximum number of questions whose choices are remembered. The oldest is dropped first.
const ASKED_BACK: usize = 200;

/// A clarification: the source, user and question that it belongs to, its message, and its choices.
type AskedBack = ((String, Option<String>, String), String, Vec<Choice>);

/// What the `choice` of a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The request names no choice.
    Nothing,
    /// A complete question.
    Reading(String),
    /// None of the choices that were offered.
    Unknown { message: String, choices: Vec<Choice> },
}

/// The choices that were offered for the last questions.
#[derive(Debug, Default)]
pub(super) struct Offered(Mutex<VecDeque<AskedBack>>);

impl Offered {
    fn key(source: &str, request: &AskDatabase) -> (String, Option<String>, String) {
        (source.to_owned(), request.user_id.clone(), cut(request.question.trim(), MAX_BYTES).to_lowercase())
    }

    /// Remembers the choices offered for the question of a request.
    pub(super) fn add(&self, source: &str, request: &AskDatabase, message: &str, choices: &[Choice]) {
        let key = Self::key(source, request);
        let mut offered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        offered.retain(|(known, _, _)| *known != key);
        offered.push_back((key, message.to_owned(), choices.to_vec()));
        if offered.len() > ASKED_BACK {
            offered.pop_front();
        }
    }

    /// Returns what was offered for the question of a request, if it is remembered.
    pub(super) fn of(&self, source: &str, request: &AskDatabase) -> Option<(String, Vec<Choice>)> {
        let key = Self::key(source, request);
        let offered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        offered
            .iter()
            .find(|(known, _, _)| *known == key)
            .map(|(_, message, choices)| (message.clone(), choices.clone()))
    }
}

/// Finds the choice of a request among those that were offered: by its label or by its reading, in upper or lower case.
/// If no offered choices are remembered, the choice is used as a complete question.
pub(super) fn chosen(choice: Option<&str>, offered: Option<(String, Vec<Choice>)>) -> Chosen {
    let Some(choice) = choice.map(str::trim).filter(|choice| !choice.is_empty()) else { return Chosen::Nothing };
    let Some((message, choices)) = offered else { return Chosen::Reading(choice.to_owned()) };
    let is_it = |text: &str| text.trim().to_lowercase() == choice.to_lowercase();
    // Or the number of its place, from 1.
    let place = choice.parse::<usize>().ok().and_then(|number| choices.get(number.checked_sub(1)?));
    match choices.iter().find(|offer| is_it(&offer.reading) || is_it(&offer.label)).or(place) {
        Some(offer) => Chosen::Reading(offer.reading.clone()),
        None => Chosen::Unknown { message, choices },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_label_a_reading_or_a_place_and_nothing_else() {
        let offer = |label: &str, reading: &str| Choice { label: label.into(), reading: reading.into() };
        let choices =
            vec![offer("by order date", "Revenue by order date"), offer("by payment", "Revenue by payment date")];
        let offered = Offered::default();
        let ann = asks("Revenue?", Some("ann"), "s");
        offered.add("main", &ann, "Which date?", &choices);
        let of = |request: &AskDatabase| offered.of("main", request);
        assert_eq!(of(&asks("Revenue?", Some("bob"), "s")), None, "another user's question");
        assert_eq!(offered.of("other", &ann), None);
        for text in ["by payment", " BY PAYMENT ", "Revenue by payment date", "2"] {
            assert_eq!(chosen(Some(text), of(&ann)), Chosen::Reading("Revenue by payment date".into()), "{text}");
        }
        let unknown = Chosen::Unknown { message: "Which date?".into(), choices };
        assert_eq!((chosen(Some("0"), of(&ann)), chosen(Some("3"), of(&ann))), (unknown.clone(), unknown.clone()));
        assert_eq!(chosen(Some("by weight"), of(&ann)), unknown);
        assert_eq!(chosen(Some("Revenue by weight"), None), Chosen::Reading("Revenue by weight".into()));
        assert_eq!((chosen(None, of(&ann)), chosen(Some(" "), of(&ann))), (Chosen::Nothing, Chosen::Nothing));
    }

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
            let question = format!("question {number}");
            sessions.add("main", &asks(&question, Some("ann"), "s"), &question, "SELECT 1");
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
            sessions.add("main", &asks("q", None, &number.to_string()), "q", &"x".repeat(5_000));
        }
        assert_eq!(seen("main", Some("ann"), "s"), [], "the oldest went");
        assert_eq!(sessions.0.lock().unwrap().len(), SESSIONS);
        assert_eq!(seen("main", None, "299")[0].sql.len(), MAX_BYTES);
    }
}
