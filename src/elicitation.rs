//! Asks the user a clarifying question, if the client supports elicitation. Up to protocol version 2025-11-25 the
//! server sends an `elicitation/create` request during the call. From version 2026-07-28 on the call ends with an
//! `input_required` result. Without elicitation, or if the user declines, the client can pass the chosen reading as
//! `choice` of the next call.

use std::collections::BTreeMap;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, InputRequest,
    InputRequiredResult, ProtocolVersion,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};

use crate::reply::AskBack;

/// The name of the only question, and of its only field.
const READING: &str = "reading";

/// How the client of a call can ask its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `elicitation/create`, while the call waits.
    Request,
    /// The call ends with `input_required`, and the client repeats it with the answer.
    Result,
}

/// Returns how this call's client can ask its user. `None` if it cannot show a form.
pub fn way(context: &RequestContext<RoleServer>) -> Option<Way> {
    let offered = context.client_capabilities()?.elicitation?;
    // An older client that offers elicitation does not say which kind. It supports forms only.
    if offered.form.is_none() && offered.url.is_some() {
        return None;
    }
    let is_modern = context.protocol_version().is_some_and(|version| version >= ProtocolVersion::NO_INITIALIZE);
    Some(if is_modern { Way::Result } else { Way::Request })
}

fn form(question: &AskBack) -> Option<ElicitRequestParams> {
    let schema = json!({"type": "object", "required": [READING],
        "properties": {READING: {"type": "string", "title": "Reading", "enum": question.readings}}});
    Some(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: question.message.clone(),
        requested_schema: serde_json::from_value(schema).ok()?,
    })
}

/// Asks by a request. Returns the reading that the user chose in time, if any.
pub async fn ask(context: &RequestContext<RoleServer>, question: &AskBack, patience: Duration) -> Option<String> {
    let asked = context.peer.create_elicitation_with_timeout(form(question)?, Some(patience));
    let result = tokio::select! {
        result = asked => result.inspect_err(|error| tracing::debug!(%error, "elicitation failed or timed out")).ok()?,
        () = context.ct.cancelled() => return None,
    };
    let reading = reading(&result)?;
    question.readings.contains(&reading).then_some(reading)
}

/// Returns an `input_required` result with the question. The client repeats the same call with the answer, so nothing
/// has to be remembered.
pub fn input_required(question: &AskBack) -> Option<InputRequiredResult> {
    let request = InputRequest::Elicitation(ElicitRequest::new(form(question)?));
    Some(InputRequiredResult::from_input_requests(BTreeMap::from([(READING.to_owned(), request)])))
}

/// Moves the answer that came with a call into the argument `choice`. Returns `true` if the call has an answer, even an
/// unusable one. The caller then does not ask the user again.
pub fn answered(request: &mut CallToolRequestParams) -> bool {
    let Some(answer) = request.input_responses.as_mut().and_then(|answers| answers.remove(READING)) else {
        return false;
    };
    let reading = serde_json::from_value::<ElicitResult>(answer).ok().as_ref().and_then(reading);
    if let Some(reading) = reading {
        choose(request, reading);
    }
    true
}

/// Sets the argument `choice` of a call.
pub fn choose(request: &mut CallToolRequestParams, reading: String) {
    request.arguments.get_or_insert_default().insert("choice".into(), reading.into());
}

fn reading(result: &ElicitResult) -> Option<String> {
    let content = result.content.as_ref().filter(|_| result.action == ElicitationAction::Accept)?;
    content.get(READING).and_then(Value::as_str).map(str::to_owned)
}
